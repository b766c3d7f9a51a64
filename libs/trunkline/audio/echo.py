"""Whether what a caller's line carries is the agent's own voice coming back.

Compares waveforms, not loudness: an echo is the played signal, delayed, weaker and a little filtered, and
correlates with it at one lag; a caller who speaks over the agent does not.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trunkline.audio.pcm import Samples
from trunkline.proto.audio import CALLER_RATE_HZ

WINDOW_SAMPLES = CALLER_RATE_HZ * 300 // 1000
LAG_SAMPLES = CALLER_RATE_HZ * 600 // 1000  # the longest way from our sending to the microphone and back
_BAND_HZ = (200.0, 2_500.0)  # what telephones, loudspeakers and their filters leave of a voice
_RUMBLE_HZ = 80.0  # below are mains and offsets of microphones, whoever's voice it is
_IN_BAND = 0.15  # of what a line carries up to the band's end: a voice's echo has 0.22 and more there
_PRE_EMPHASIS = 0.9  # flattens the spectrum of voices, so that two of like pitch don't correlate by their bass
_QUIET = 1e-6 * 32768.0**2 / 100  # mean square once shaped, of about -60 dBFS: too weak to tell whose voice it is


def likeness(caller: Samples, played: Samples) -> float:
    """0 (not an echo) to 1 (nothing but echo): peak of the normalised cross-correlation, by FFT.

    caller: at CALLER_RATE_HZ; its last WINDOW_SAMPLES count. played: what was sent to the caller, ending at the same
    moment as `caller`; its last WINDOW_SAMPLES + LAG_SAMPLES count. Shorter arrays compare over what is there; a
    silent side gives 0.
    """
    caller, played = caller[-WINDOW_SAMPLES:], played[-(WINDOW_SAMPLES + LAG_SAMPLES) :]
    if len(caller) < 2 or len(played) < len(caller) or not played.any():  # mostly: nobody talks over silence
        return 0.0
    heard, sent = _shape(caller, _BAND_HZ), _shape(played, _BAND_HZ)
    heard_energy = float(np.dot(heard, heard))
    sent_energies = _moving_energy(sent, len(heard))
    loud_enough = sent_energies > _QUIET * len(heard)
    if not heard_energy > 0.0 or not loud_enough.any():
        return 0.0
    whole = _shape(caller, (_RUMBLE_HZ, _BAND_HZ[1]))  # of a deeper sound only the edges lie in the band
    if heard_energy < _IN_BAND * float(np.dot(whole, whole)):
        return 0.0
    products = _correlate(sent, heard)[loud_enough]
    scores = np.abs(products) / np.sqrt(sent_energies[loud_enough] * heard_energy)
    return min(1.0, float(scores.max()))


def _shape(samples: Samples, band_hz: tuple[float, float]) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(samples.astype(np.float64))
    shaped: NDArray[np.float64] = np.fft.irfft(spectrum * _weights(len(samples), *band_hz), len(samples))
    return shaped


@lru_cache(maxsize=8)  # nearly always the three of whole windows
def _weights(size: int, from_hz: float, to_hz: float) -> NDArray[np.float64]:
    """Of each frequency of a real spectrum of so many samples."""
    frequencies_hz = np.fft.rfftfreq(size, 1.0 / CALLER_RATE_HZ)
    weights: NDArray[np.float64] = np.abs(1.0 - _PRE_EMPHASIS * np.exp(-2j * np.pi * frequencies_hz / CALLER_RATE_HZ))
    weights[(frequencies_hz < from_hz) | (frequencies_hz > to_hz)] = 0.0
    weights.flags.writeable = False
    return weights


def _moving_energy(signal: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Energy of every run of `window` samples; entry i is that of the run from i."""
    sums = np.concatenate(([0.0], np.cumsum(np.square(signal))))
    energies: NDArray[np.float64] = np.maximum(sums[window:] - sums[:-window], 0.0)
    return energies


def _correlate(sent: NDArray[np.float64], heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entry i: sum over n of sent[i + n] * heard[n], for every i at which heard lies wholly within sent."""
    size = len(sent)  # what wraps around lies at lags that aren't asked for
    spectrum = np.fft.rfft(sent, size) * np.conj(np.fft.rfft(heard, size))
    products: NDArray[np.float64] = np.fft.irfft(spectrum, size)[: len(sent) - len(heard) + 1]
    return products
