"""Engines that hold the GIL while they work, and one that dies of it; importable, for processes of their own."""

import os
import time
from collections.abc import Iterator

import numpy as np

from trunkline.audio.pcm import Floats, Samples

NUMBER = 700_000
DIES, HANGS, RAISES = 2, 3, 4  # utterances


def hold_gil(seconds: float) -> None:
    """One operation after the other, each of which keeps every other thread waiting for a tenth of a second or so."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        _ = 7**NUMBER % 11


class HungryRecogniser:
    name = "hungry"
    languages = ("en",)
    holds_gil = True

    def __init__(self, works_s: float = 0.0) -> None:
        self._works_s = works_s
        self._words = ""

    def warm(self) -> None:
        self._words = f"words of {os.getpid()}"

    def recognise(self, pcm: Floats, utterance: int) -> str:
        hold_gil(self._works_s)
        if utterance == DIES:
            os._exit(3)
        if utterance == HANGS:
            time.sleep(60.0)
        if utterance == RAISES:
            raise ValueError("this utterance fails")
        return f"{self._words}: {len(pcm)} {float(pcm.sum()):g}"


class HungrySynthesiser:
    name = "hungry"
    rate_hz = 24_000
    inline = False
    voices = ("joe",)
    holds_gil = True

    def warm(self) -> None:
        """Nothing to load."""

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        for word in text.split():
            if word == "die":
                os._exit(3)
            yield np.full(len(word), round(speed * 100), dtype=np.int16)
