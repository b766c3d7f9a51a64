"""What a recogniser is. It knows no call: the same samples give the same words, on any thread."""

from typing import Protocol

from trunkline.audio.pcm import Floats

RATE_HZ = 16_000
PIECE_SAMPLES = 30 * RATE_HZ  # the longest audio a recogniser is ever given


class Recogniser(Protocol):
    """Blocking, and called from several threads at a time. Plugins: entry point group `trunkline.stt_engines`, whose
    objects are called without arguments and return one. It may have `languages`: a tuple of those that it knows, ISO
    639-1; and `inline`: True for one so cheap that it runs on the event loop, without a thread; and `holds_gil`: True
    for a plugin that is to run in processes of its own."""

    name: str

    def warm(self) -> None:
        """Loads what recognise needs. Raises whatever a broken installation raises: the process doesn't start."""
        ...

    def recognise(self, pcm: Floats, utterance: int) -> str:
        """The words in pcm (RATE_HZ, full scale 1.0, up to PIECE_SAMPLES), empty for none.

        utterance: its number in its placement, for engines that follow a script.
        """
        ...
