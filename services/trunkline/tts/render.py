"""From a segment's text to its audio as it leaves this process: normalised, trimmed, at SPEECH_RATE_HZ.

A blocking generator, so that a thread can take it one step at a time and abandon it between two steps.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trunkline.audio.pcm import EMPTY, Samples
from trunkline.audio.resample import Resampler
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.tts.engines.port import Synthesiser
from trunkline.tts.normalise import speech_text
from trunkline.tts.silence import SilenceTrimmer, tail_ms


class Rendered(NamedTuple):
    samples: Samples  # at SPEECH_RATE_HZ; may be empty
    last: bool


def render(engine: Synthesiser, text: str, speed: float) -> Iterator[Rendered]:
    """Ends with exactly one `last`; text without a word is that alone, and empty."""
    spoken = speech_text(text)
    if not spoken:
        yield Rendered(EMPTY, last=True)
        return
    trimmer = SilenceTrimmer(engine.rate_hz, tail_ms=tail_ms(spoken))
    resampler = Resampler(engine.rate_hz, SPEECH_RATE_HZ)
    for samples in engine.synthesise(spoken, speed):
        ready = resampler.push(trimmer.push(samples))
        if len(ready):
            yield Rendered(ready, last=False)
    ending = resampler.push(trimmer.finish())
    yield Rendered(np.concatenate((ending, resampler.flush())), last=True)
