"""How long a caller waits for the first commentary and the first answer of each turn."""

from trunkline.gateway import metrics
from trunkline.proto.audio import SPEECH_RATE_HZ


class FirstAudio:
    """Times are clocks in samples at SPEECH_RATE_HZ."""

    def __init__(self) -> None:
        self._ended_at: dict[int, int] = {}  # turn -> the caller's last voiced sample
        self._measured: set[bool] = set()  # of the open response: commentary, answer

    def asked(self, turn: int, ended_at: int) -> None:
        self._ended_at[turn] = ended_at

    def opened(self) -> None:
        """Another response begins."""
        self._measured.clear()

    def began(self, turn: int, now: int, *, commentary: bool) -> None:
        """Words of the turn's response begin to sound."""
        ended_at = self._ended_at.get(turn)
        if ended_at is not None and commentary not in self._measured:
            self._measured.add(commentary)
            histogram = metrics.first_commentary_s if commentary else metrics.first_answer_s
            histogram.observe(max(0, now - ended_at) / SPEECH_RATE_HZ)

    def over(self, turn: int) -> None:
        self._ended_at.pop(turn, None)
