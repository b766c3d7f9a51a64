"""One stretch of the caller's speech, from its first sign until its outcome is told."""

from trunkline.gateway.decisions import Decision
from trunkline.proto.audio import CALLER_RATE_HZ

NO_NUMBER = 0  # of an utterance that no STT worker knows (any more)
NEAR_SAMPLES = CALLER_RATE_HZ // 2  # beginnings so near are one utterance that two workers heard
PADDING_SAMPLES = CALLER_RATE_HZ // 2  # before its first voiced sample: what another worker needs to hear it again


class Utterance:
    """number: what STT calls it. floor: audio before is another's. tentative: holds the playout until it is confirmed
    or was nothing. to_sample: its end, once it has stopped.

    absorbed: what STT calls the utterance that a client's commit ended, and those that it ended behind it before it
    knew of the commit; their words are `prefix`, from the sample prefix_from, and why some will never be known is
    `lacking`. doubtful: STT may never tell its end.
    """

    __slots__ = (
        "absorbed",
        "announced",
        "at_sample",
        "committed",
        "doubtful",
        "floor",
        "item",
        "lacking",
        "number",
        "outcome",
        "prefix",
        "prefix_from",
        "stopped",
        "tentative",
        "to_sample",
        "voiced_samples",
    )

    def __init__(self, number: int, item: str, at_sample: int, floor: int) -> None:
        self.number = number
        self.item = item
        self.at_sample = self.to_sample = at_sample
        self.floor = floor
        self.voiced_samples = 0
        self.absorbed: set[int] = set()
        self.prefix, self.prefix_from = "", 0
        self.lacking = ""
        self.doubtful = False
        self.tentative = self.announced = self.stopped = self.committed = False
        self.outcome: list[Decision] | None = None  # what its end means; None while it isn't known

    @property
    def orphaned(self) -> bool:
        """The worker that heard it is gone; perhaps another hears it."""
        return self.number == NO_NUMBER and self.outcome is None

    @property
    def heard_now(self) -> bool:
        """A worker listens to it, or works out its words."""
        return self.number != NO_NUMBER and not self.committed and self.outcome is None

    @property
    def needed_from(self) -> int:
        """Audio that is needed to hear it again."""
        return self.at_sample if self.committed else max(self.floor, self.at_sample - PADDING_SAMPLES)

    def takes_in(self, begun: "Utterance") -> bool:
        """Whether one that STT tells of now is part of this one, as what it follows is."""
        if not self.absorbed or self.outcome is not None or not self.at_sample <= begun.at_sample < self.to_sample:
            return False
        self.absorbed.add(begun.number)
        return True

    def absorb(self, number: int, text: str, from_sample: int) -> None:
        """STT had ended by itself what the client's commit ended: the order to finish meets what comes after it."""
        if number in self.absorbed and self.outcome is None:
            self.prefix_from = self.prefix_from if self.prefix else from_sample
            self.prefix = f"{self.prefix} {text}".strip()

    def lack(self, number: int, reason: str) -> None:
        """Words that are part of this one's will never be known: half of them is no transcript."""
        if number in self.absorbed and self.outcome is None:
            self.lacking = reason

    def distance(self, at_sample: int) -> int | None:
        """From an utterance that begins there; None if they can't be the same."""
        distance = abs(at_sample - self.at_sample)
        return distance if distance <= NEAR_SAMPLES and at_sample >= self.floor else None
