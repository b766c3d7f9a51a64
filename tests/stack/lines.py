"""What callers say in these tests, and what the telephone and the street do to it."""

import wave
from functools import cache
from pathlib import Path

import numpy as np

from trunkline.audio import g711, resample, wav
from trunkline.audio.pcm import Samples, from_float, to_float
from trunkline.audio.wav import Clip
from trunkline.cli import line
from trunkline.cli.line import Line
from trunkline.tts.engines.piper import PiperSynthesiser, open_piper

CALLERS = Path(__file__).parents[1] / "data/callers"
TELEPHONE_HZ = 8_000
AFTER_FOUR_S = 3.62  # in order_status.wav: the quietest moment between "four" and "seven"
# What is said, and what the front desk's tool must be asked.
QUESTIONS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("weather_tokyo.wav", "get_weather", {"city": "tokyo"}),
    ("order_status.wav", "lookup_order", {"order_number": "4712"}),
    ("What is the weather in Paris?", "get_weather", {"city": "paris"}),
    ("Can you tell me the weather in Berlin, please?", "get_weather", {"city": "berlin"}),
    ("How is the weather in London today?", "get_weather", {"city": "london"}),
    ("When are you open on Monday?", "opening_hours", {"day": "monday"}),
    ("What are your opening hours on Saturday?", "opening_hours", {"day": "saturday"}),
    ("Where is my order one two three four?", "lookup_order", {"order_number": "1234"}),
    ("Please cancel my order three zero seven one.", "cancel_order", {"order_number": "3071"}),
    ("What is the status of order nine zero zero six?", "lookup_order", {"order_number": "9006"}),
)


def recorded(name: str) -> Clip:
    return wav.read_file(CALLERS / name)


@cache
def clip(said: str) -> Clip:
    """A recorded line by its file name, any other text in Piper's voice."""
    if said.endswith(".wav"):
        return recorded(said)
    voice = _voice()
    spoken = np.concatenate(list(voice.synthesise(said, 1.0)))
    return Clip(spoken, voice.rate_hz)


def spoken(said: str) -> Line:
    return line.make(clip(said).samples, clip(said).rate_hz)


def by_telephone(said: str) -> Line:
    """Through 8 kHz mu-law and back."""
    narrow = resample.resample(clip(said).samples, clip(said).rate_hz, TELEPHONE_HZ)
    return line.make(g711.decode_mulaw(g711.encode_mulaw(narrow)), TELEPHONE_HZ)


def in_noise(said: str, snr_db: float, seed: int) -> Line:
    """White noise from half a second before to half a second after; the end of speech is the clean line's."""
    clean = spoken(said)
    voiced = to_float(clean.samples[: clean.voiced_end])
    level = float(np.sqrt(np.mean(voiced**2))) * 10 ** (-snr_db / 20)
    pad = np.zeros(12_000, dtype=np.int16)
    padded = to_float(np.concatenate((pad, clean.samples, pad)))
    noise = np.random.default_rng(seed).normal(0, level, len(padded)).astype(np.float32)
    return Line(from_float(padded + noise), len(pad) + clean.voiced_end)


def dictated(pause_s: float) -> Line:
    """`order_status` with a pause among the digits: "four … seven one two"."""
    file = recorded("order_status.wav")
    cut = int(AFTER_FOUR_S * file.rate_hz)
    return _with_pause(file.samples[:cut], file.samples[cut:], file.rate_hz, pause_s)


def dictated_by_piper(pause_s: float) -> Line:
    """The same in two sentences of another voice."""
    first, rest = clip("I would like to know where my order is. The number is four."), clip("seven one two")
    return _with_pause(first.samples, rest.samples, first.rate_hz, pause_s)


def _with_pause(before: Samples, after: Samples, rate_hz: int, pause_s: float) -> Line:
    return line.make(np.concatenate((before, np.zeros(int(pause_s * rate_hz), dtype=np.int16), after)), rate_hz)


def write(path: Path, said: str, rate_hz: int, channels: int) -> None:
    """A file such as a caller's machine might have."""
    samples = resample.resample(clip(said).samples, clip(said).rate_hz, rate_hz)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.repeat(samples, channels).astype("<i2").tobytes())


@cache
def _voice() -> PiperSynthesiser:
    """Without Piper's noise: the same line sounds the same in every run, and what a recogniser makes of it stays."""
    voice = open_piper("")
    voice._voice.config.noise_scale = voice._voice.config.noise_w_scale = 0.0
    return voice
