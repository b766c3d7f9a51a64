"""A recogniser that hears what it is told: for tests, and for loads that measure everything but the engine."""

from trunkline.audio.pcm import Floats

FAIL = "!fail"  # a line that raises instead


class ScriptFailure(RuntimeError):
    pass


class Scripted:
    """lines: of a call's first utterance, its second …, from the start again after the last."""

    name = "scripted"
    inline = True

    def __init__(self, lines: tuple[str, ...] = ("hello",)) -> None:
        if not lines:
            raise ValueError("a script needs at least one line")
        self._lines = lines

    def warm(self) -> None:
        """Nothing to load."""

    def recognise(self, pcm: Floats, utterance: int) -> str:
        line = self._lines[(utterance - 1) % len(self._lines)]
        if line == FAIL:
            raise ScriptFailure(f"utterance {utterance} fails as scripted")
        return line
