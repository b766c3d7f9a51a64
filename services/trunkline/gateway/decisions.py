"""What the turns decide, for the call to carry out. Positions are samples since the call began, at CALLER_RATE_HZ."""

import msgspec

from trunkline.proto.image import ShownImage
from trunkline.proto.response import Insert, Retract, TurnSource


class Hold(msgspec.Struct, frozen=True):
    """Send the agent's audio no further for now."""


class Resume(msgspec.Struct, frozen=True):
    """It was nothing: go on."""


class Flush(msgspec.Struct, frozen=True):
    """The caller speaks: the agent's response is over."""


class AnnounceStarted(msgspec.Struct, frozen=True):
    item: str
    at_sample: int


class AnnounceStopped(msgspec.Struct, frozen=True):
    item: str
    at_sample: int


class CommitAudio(msgspec.Struct, frozen=True):
    """The utterance's audio is an item of the conversation now; its words may follow later."""

    item: str


class AnnounceWords(msgspec.Struct, frozen=True):
    """The words so far of an utterance that may go on; they may still change."""

    item: str
    text: str


class TakeTurn(msgspec.Struct, frozen=True):
    """turn: from 1, in order; 0 when a client bounded an utterance without words: an item alone, which says nothing."""

    turn: int
    item: str
    text: str
    source: TurnSource
    from_sample: int = 0
    to_sample: int = 0
    respond: bool = False
    previous: str = ""  # see Turn
    images: tuple[ShownImage, ...] = ()

    @property
    def says_something(self) -> bool:
        return bool(self.text or self.images)


class Change(msgspec.Struct, frozen=True):
    """The client's word on the conversation's items."""

    word: Insert | Retract


class AnswerAfterAll(msgspec.Struct, frozen=True):
    """The last turn wasn't to be answered, since the caller seemed to go on; nothing came of that."""


class GiveUp(msgspec.Struct, frozen=True):
    """A committed item whose words will never be known."""

    item: str
    reason: str


class OrderFinish(msgspec.Struct, frozen=True):
    utterance: int
    from_sample: int
    to_sample: int


class OrderDiscard(msgspec.Struct, frozen=True):
    """What was said in between is nothing, whoever hears it again."""

    from_sample: int
    to_sample: int


Decision = (
    Hold
    | Resume
    | Flush
    | AnnounceStarted
    | AnnounceStopped
    | AnnounceWords
    | CommitAudio
    | TakeTurn
    | Change
    | AnswerAfterAll
    | GiveUp
    | OrderFinish
    | OrderDiscard
)
