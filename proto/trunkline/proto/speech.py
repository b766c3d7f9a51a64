"""What STT is asked and what it reports. Positions are samples since the call began, at CALLER_RATE_HZ.

STT publishes facts; what they mean for the turn is decided by the gateway.
"""

import msgspec

from trunkline.proto.audio import U32, U64


class TurnRules(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When an utterance begins and ends.

    automatic: False is push to talk: VAD facts are off and an utterance is what Finish bounds.
    silence_ms: ends an utterance whose words look finished.
    unfinished_ms: ends one whose words do not (a trailing "and", digits of a longer number).
    dictations: regular expressions of what callers dictate, over the digits and letters without spaces;
        words that end in a proper prefix of one look unfinished.
    """

    automatic: bool = True
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_ms: int = 500
    unfinished_ms: int = 1400
    dictations: tuple[str, ...] = ()


class Listen(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="listen"):
    """Gateway -> STT: place a call. Audio of `handle` begins at from_sample. patient: calls go before it.

    joined: how far it was judged may be said by `Heard`; else by `Silent` and `Listened`.
    """

    handle: int
    from_sample: int
    rules: TurnRules
    language: str = "en"
    patient: bool = False
    joined: bool = False


class Tune(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tune"):
    """Gateway -> STT: new rules, from the next decision on."""

    rules: TurnRules


class Finish(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="finish"):
    """Gateway -> STT: the caller's turn ends here by the client's word; acts once audio has arrived up to to_sample.

    Answered by one Final with this utterance number, whose text may be empty.
    """

    utterance: int
    from_sample: int
    to_sample: int


class Discard(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="discard"):
    """Gateway -> STT: forget audio and any open utterance before to_sample."""

    to_sample: int


class SpeechStarted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="speech_started"):
    """STT -> gateway: utterance numbers count from 1 in each placement; at_sample is the first voiced sample."""

    utterance: int
    at_sample: int


class SpeechStopped(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="speech_stopped"):
    """STT -> gateway: the utterance is over; at_sample is just after the last voiced sample. A Final follows."""

    utterance: int
    at_sample: int


class Partial(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="partial"):
    """STT -> gateway: the words so far, which may still change."""

    utterance: int
    text: str
    to_sample: int


class Final(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="final"):
    """STT -> gateway: the words of an utterance, once, in the order in which utterances ended; empty text means that no
    words were heard.

    recognise_ms: from the last audio needed to the words.
    """

    utterance: int
    text: str
    from_sample: int
    to_sample: int
    recognise_ms: float = 0.0


class Silent(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="silent"):
    """STT -> gateway: nothing before to_sample will ever be needed again. judged_to: and up to there it was judged."""

    to_sample: int
    judged_to: int = 0


class Listened(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="listened"):
    """STT -> gateway: the audio up to to_sample has been judged; said once a second while audio comes.

    Unlike Silent it lets nothing be forgotten: it tells an engine that works from one that is mute.
    """

    to_sample: int


class HeardCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far a call was judged, as Silent and Listened say it.

    attach: of its placement. after: the seq of what was said before on its link; to a receiver that lacks some of
    that it says nothing. silent_to: nothing before will ever be needed again.
    """

    call: str
    attach: U64
    after: U32
    judged_to: U64
    silent_to: U64


class Heard(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="heard"):
    """STT -> gateway, for all its calls there that were heard lately: outside any sequence, of no call.

    A lost one is repaired by the next. Only of placements whose Listen says `joined`.
    """

    calls: list[HeardCall]


class AudioMissing(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="audio_missing"):
    """STT -> gateway: send the caller's audio again from here."""

    from_sample: int


class RecognitionFailed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="recognition_failed"):
    """STT -> gateway: the engine failed for this utterance; no Final will come."""

    utterance: int
    reason: str
