"""What a call costs this stage's engine, tried with a synthetic utterance."""

import numpy as np

from trunkline.audio.pcm import Floats
from trunkline.runtime.capacity import DUTY_S, UTTERANCE_S, cpu_cost
from trunkline.stt.engines.seam import RATE_HZ, Recogniser
from trunkline.stt.vad import WINDOW_SAMPLES, VoiceDetector, step

WINDOWS_PER_S = RATE_HZ / WINDOW_SAMPLES
TRIED_CALLS = 8  # windows of one run
ATTEMPTS = 1.5  # an utterance is recognised so often: some pauses turn out not to be its end
HEARD_S = 0.0005  # per second of a call, for everything but the engine


def cost_of(recogniser: Recogniser, detector: VoiceDetector) -> float:
    """CPU seconds of a call, per second of it. Both are warm. Blocks for a second or two at most."""
    words_s = cpu_cost(lambda: recogniser.recognise(utterance(), 1), cpu_s=getattr(recogniser, "cpu_s", None))
    window = bytes(2 * WINDOW_SAMPLES)
    places = [detector.open() for _ in range(TRIED_CALLS)]
    windows_s = cpu_cost(lambda: step(detector, places, [window] * TRIED_CALLS)) / TRIED_CALLS
    for place in places:
        detector.close(place)
    return HEARD_S + windows_s * WINDOWS_PER_S + words_s * ATTEMPTS / DUTY_S


def utterance() -> Floats:
    """UTTERANCE_S of syllables without words, which a recogniser takes for about as many as are spoken in that time."""
    at_s = np.arange(int(UTTERANCE_S * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * at_s)) / RATE_HZ
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 4 * at_s), 0, 1)
    sound: Floats = (0.1 * buzz * syllables).astype(np.float32)
    return sound
