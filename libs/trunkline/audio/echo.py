"""Whether what a caller's line carries is the agent's own voice coming back.

Compares waveforms, not loudness: an echo is the played signal, delayed, weaker and a little filtered, and
correlates with it at one lag; a caller who speaks over the agent does not.
"""

import numpy as np
from numpy.typing import NDArray

from trunkline.audio.pcm import Samples
from trunkline.proto.audio import CALLER_RATE_HZ

WINDOW_SAMPLES = CALLER_RATE_HZ * 300 // 1000
LAG_SAMPLES = CALLER_RATE_HZ * 600 // 1000  # the longest way from our sending to the microphone and back
_PRE_EMPHASIS = 0.97  # flattens the spectrum of voices, so that two of like pitch don't correlate by their bass
_QUIET = 1e-6 * 32768.0**2  # mean square, -60 dBFS: too weak to tell whose voice it is


def likeness(caller: Samples, played: Samples) -> float:
    """0 (not an echo) to 1 (nothing but echo): peak of the normalised cross-correlation, by FFT.

    caller: at CALLER_RATE_HZ; its last WINDOW_SAMPLES count. played: what was sent to the caller, ending at the same
    moment as `caller`; its last WINDOW_SAMPLES + LAG_SAMPLES count. Shorter arrays compare over what is there; a
    silent side gives 0.
    """
    heard = _flatten(caller[-WINDOW_SAMPLES:])
    sent = _flatten(played[-(WINDOW_SAMPLES + LAG_SAMPLES) :])
    if len(heard) < 2 or len(sent) < len(heard):
        return 0.0
    heard_energy = float(np.dot(heard, heard))
    sent_energies = _moving_energy(sent, len(heard))
    loud_enough = sent_energies > _QUIET * len(heard) * (1 - _PRE_EMPHASIS) ** 2
    if not heard_energy > 0.0 or not loud_enough.any():
        return 0.0
    products = _correlate(sent, heard)[loud_enough]
    scores = np.abs(products) / np.sqrt(sent_energies[loud_enough] * heard_energy)
    return min(1.0, float(scores.max()))


def _flatten(samples: Samples) -> NDArray[np.float64]:
    signal = samples.astype(np.float64)
    flat: NDArray[np.float64] = signal[1:] - _PRE_EMPHASIS * signal[:-1]
    return flat


def _moving_energy(signal: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Energy of every run of `window` samples; entry i is that of the run from i."""
    sums = np.concatenate(([0.0], np.cumsum(np.square(signal))))
    return np.maximum(sums[window:] - sums[:-window], 0.0)


def _correlate(sent: NDArray[np.float64], heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entry i: sum over n of sent[i + n] * heard[n], for every i at which heard lies wholly within sent."""
    size = 1 << (len(sent) + len(heard) - 2).bit_length()
    spectrum = np.fft.rfft(sent, size) * np.conj(np.fft.rfft(heard, size))
    products: NDArray[np.float64] = np.fft.irfft(spectrum, size)[: len(sent) - len(heard) + 1]
    return products
