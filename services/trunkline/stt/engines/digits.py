"""A recogniser of keyed digits, for tests and loads whose words must depend on the sound."""

from trunkline.audio import dtmf
from trunkline.audio.pcm import Floats
from trunkline.stt.engines.seam import RATE_HZ


class Digits:
    name = "digits"

    def warm(self) -> None:
        """Nothing to load."""

    def recognise(self, pcm: Floats, utterance: int) -> str:
        return dtmf.read(pcm, RATE_HZ)
