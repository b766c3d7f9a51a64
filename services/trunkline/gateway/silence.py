"""Whether a call has been silent for long enough that its agent is told, and for the how manieth time.

Pure: the clock is given by the caller, in samples at SPEECH_RATE_HZ, like every time here.
"""


class Silence:
    """idle: of both sides, after which the agent is told, and again after as much.

    The caller's words begin the count anew, and so does a response of the agent that isn't its answer to the silence.
    """

    def __init__(self, idle: int, now: int) -> None:
        self.idle = idle
        self._quiet_from = now
        self._count = 0
        self._answer = ""  # the response with which the agent answers the silence

    def sounded(self, until: int) -> None:
        """There was something to be heard, or a client to hear it, up to there."""
        self._quiet_from = max(self._quiet_from, until)

    def caller_said(self, until: int) -> None:
        """Words, spoken or typed."""
        self._count = 0
        self.sounded(until)

    def agent_answers(self, response: str) -> None:
        if response != self._answer:
            self._count = 0

    def look(self, now: int, *, going_on: bool) -> int:
        """After how many samples to look again; 0: the agent is to be told now. going_on: it isn't silent right now."""
        if going_on:
            self.sounded(now)
        return max(0, self._quiet_from + self.idle - now)

    def quiet(self, now: int) -> int:
        """So long it has been silent."""
        return now - self._quiet_from

    def tell(self, now: int) -> int:
        """The agent is told now. Returns for the how manieth time."""
        self._count += 1
        self._quiet_from = now
        return self._count

    def is_answered_by(self, response: str) -> None:
        self._answer = response
