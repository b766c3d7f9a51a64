"""The seam to a speech synthesiser.

Rule: an engine serves many calls; warm and synthesise block and are called from several threads at a time.
"""

from collections.abc import Iterator
from typing import Protocol

from trunkline.audio.pcm import Samples


class Synthesiser(Protocol):
    """rate_hz: of its samples. inline: so cheap that it runs on the event loop, without a thread.

    It may have `voices`: a tuple of the names of those that it has; and `holds_gil`: True for a plugin that is to run
    in processes of its own.
    """

    name: str
    rate_hz: int
    inline: bool

    def warm(self) -> None:
        """Loads the voice and speaks once, so that the first caller doesn't wait for it."""
        ...

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        """Audio as it becomes ready, int16 mono. text: as it is to be read aloud; speed: 1.0 is the voice's own.

        Between two arrays the work may be abandoned, so none should take much more than half a second.
        """
        ...
