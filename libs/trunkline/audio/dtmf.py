"""Digits as pairs of tones, made and read back. Pure.

Format: ITU-T Q.23 (the frequencies), without Q.24's tests against speech: what is read here is known to be tones.
A digit needs 30 ms, and 20 ms of silence or another digit after it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trunkline.audio.pcm import Floats, Samples

DIGITS = "123A456B789C*0#D"
ROWS_HZ = (697, 770, 852, 941)
COLUMNS_HZ = (1209, 1336, 1477, 1633)
TONE_MS = 60
GAP_MS = 30
LEVEL = 6_000  # int16 peak of each of the two tones, about -15 dBFS
_STEP_MS, _WINDOW_MS = 5, 20
_STEPS = 4  # windows in a row that must agree on a digit
_AUDIBLE = 0.01  # amplitude of each tone, full scale 1.0
_TWIST = 3.0  # one tone may be so much louder than the other
_SHARE = 0.8  # of a window's power, that is in its two tones


def tones(digits: str, rate_hz: int, *, tone_ms: int = TONE_MS, gap_ms: int = GAP_MS) -> Samples:
    """Each digit and the gap after it. Raises ValueError for what is no digit."""
    at_s = np.arange(rate_hz * tone_ms // 1000) / rate_hz
    gap = np.zeros(rate_hz * gap_ms // 1000, dtype=np.int16)
    parts: list[Samples] = []
    for digit in digits:
        row, column = divmod(DIGITS.index(digit), len(COLUMNS_HZ))
        pair = np.sin(2 * np.pi * ROWS_HZ[row] * at_s) + np.sin(2 * np.pi * COLUMNS_HZ[column] * at_s)
        parts += [(LEVEL * pair).astype(np.int16), gap]
    return np.concatenate(parts) if parts else gap[:0]


def read(pcm: Floats, rate_hz: int) -> str:
    """The digits in pcm (full scale 1.0). A tone that is interrupted counts once for each part."""
    digits, last, times = "", "", 0
    for heard in _windows(pcm, rate_hz):
        times = times + 1 if heard == last else 1
        last = heard
        if heard and times == _STEPS:
            digits += heard
    return digits


def _windows(pcm: Floats, rate_hz: int) -> list[str]:
    """What is heard in each window, empty for no digit."""
    size, step = rate_hz * _WINDOW_MS // 1000, rate_hz * _STEP_MS // 1000
    if len(pcm) < size:
        return []
    frames = np.lib.stride_tricks.sliding_window_view(pcm, size)[::step].astype(np.float64)
    amplitudes = np.abs(frames @ _correlators(rate_hz, size))
    rows, columns = amplitudes[:, : len(ROWS_HZ)], amplitudes[:, len(ROWS_HZ) :]
    row, column = rows.argmax(axis=1), columns.argmax(axis=1)
    of_row, of_column = rows.max(axis=1), columns.max(axis=1)
    share = (of_row**2 + of_column**2) / 2 / np.maximum(np.mean(frames**2, axis=1), 1e-12)
    even = (of_row < _TWIST * of_column) & (of_column < _TWIST * of_row)
    sure = (of_row > _AUDIBLE) & (of_column > _AUDIBLE) & even & (share > _SHARE)
    return [DIGITS[r * len(COLUMNS_HZ) + c] if ok else "" for r, c, ok in zip(row, column, sure, strict=True)]


@lru_cache
def _correlators(rate_hz: int, size: int) -> NDArray[np.complex128]:
    """One column for each frequency: the amplitude of its tone in a window of `size` samples."""
    phases = 2 * np.pi * np.outer(np.arange(size) / rate_hz, ROWS_HZ + COLUMNS_HZ)
    correlators: NDArray[np.complex128] = np.exp(-1j * phases) * (2 / size)
    return correlators
