"""Whose audio sounds at the caller, from its first sample to its last: what `output_audio_buffer.*` tells. Pure.

Each response that sounds is told to have started once and to have ended once: stopped by itself, or cleared.
"""

from enum import Enum
from typing import NamedTuple


class Sign(Enum):
    STARTED = "started"
    STOPPED = "stopped"
    CLEARED = "cleared"


class Told(NamedTuple):
    sign: Sign
    response: str


class Sounding:
    def __init__(self) -> None:
        self.last = ""  # response that sounded
        self.sounds = False
        self._ended = False  # it has nothing more to say

    def said(self, response: str) -> list[Told]:
        """Audio of it goes out."""
        if self.sounds and response == self.last:
            return []
        told = [Told(Sign.STOPPED, self.last)] if self.sounds else []
        self.last, self.sounds, self._ended = response, True, False
        return [*told, Told(Sign.STARTED, response)]

    def ended(self, response: str, *, silent: bool) -> list[Told]:
        """The response is over. silent: all that went out has been played."""
        if not self.sounds or response != self.last:
            return []
        self._ended = True
        return self.silent() if silent else []

    def silent(self) -> list[Told]:
        """All that went out has been played; more of the same response may follow."""
        if not self.sounds or not self._ended:
            return []
        self.sounds = False
        return [Told(Sign.STOPPED, self.last)]

    def cut(self) -> list[Told]:
        """Nothing of it is played any more."""
        if not self.sounds:
            return []
        self.sounds = False
        return [Told(Sign.CLEARED, self.last)]
