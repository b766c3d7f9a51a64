"""Whether what a caller's line carries is the agent's own voice coming back.

Compares waveforms, not loudness: an echo is the played signal, delayed, weaker and a little filtered, and
correlates with it at one lag; a caller who speaks over the agent does not.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trunkline.audio import g711, pcm
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import resample
from trunkline.proto.audio import CALLER_RATE_HZ, SAMPLE_BYTES, SPEECH_RATE_HZ

WINDOW_SAMPLES = CALLER_RATE_HZ * 300 // 1000
LAG_SAMPLES = CALLER_RATE_HZ * 600 // 1000  # the longest way from our sending to the microphone and back
THIN = 3  # samples at SPEECH_RATE_HZ, of which an echo's reference keeps one
_BAND_HZ = (200.0, 2_500.0)  # what telephones, loudspeakers and their filters leave of a voice
_RUMBLE_HZ = 80.0  # below are mains and offsets of microphones, whoever's voice it is
_IN_BAND = 0.15  # of what a line carries up to the band's end: a voice's echo has 0.22 and more there
_PRE_EMPHASIS = 0.9  # flattens the spectrum of voices, so that two of like pitch don't correlate by their bass
_NARROW_HZ = 3_200.0
_BLOCK = 8  # samples kept of a run of the filter: smaller ones copy more
_QUIET = 1e-6 * 32768.0**2 / 100  # mean square once shaped, of about -60 dBFS: too weak to tell whose voice it is


def thin(speech: bytes) -> bytes:
    """What is kept of what was played, to know its echo by: as a telephone carries it, mu-law, a sixth of the bytes.

    speech: int16 LE at SPEECH_RATE_HZ; up to THIN - 1 samples at its end don't count. The filter is as short as leaves
    sibilants out, which would fold down into the band.
    """
    kept = len(speech) // (THIN * SAMPLE_BYTES)
    if not kept:
        return b""
    blocks, step, span = -(-kept // _BLOCK), _BLOCK * THIN, len(_NARROW)
    work = np.zeros((blocks - 1) * step + span, dtype=np.float32)
    work[THIN : THIN + kept * THIN] = pcm.from_bytes(speech)[: kept * THIN]
    strides = (step * work.itemsize, work.itemsize)
    windows: NDArray[np.float32] = np.ndarray((blocks, span), np.float32, work, 0, strides)
    narrow = (np.ascontiguousarray(windows) @ _NARROW).reshape(-1)[:kept]
    return g711.encode_mulaw(narrow.clip(-32768.0, 32767.0).astype(np.int16))


def _narrow() -> NDArray[np.float32]:
    """[samples in, _BLOCK out]: a windowed sinc of three times THIN taps, which falls from the band's end on."""
    at = np.arange(3 * THIN) - (3 * THIN - 1) / 2
    taps = np.sinc(2 * _NARROW_HZ / SPEECH_RATE_HZ * at) * np.kaiser(3 * THIN, 4.0)
    bank = np.zeros((3 * THIN + (_BLOCK - 1) * THIN, _BLOCK), dtype=np.float32)
    for made in range(_BLOCK):
        bank[made * THIN : made * THIN + len(taps), made] = taps / taps.sum()
    return bank


_NARROW = _narrow()


def thick(thinned: bytes) -> Samples:
    """As likeness takes it, at CALLER_RATE_HZ, of thinned samples."""
    return resample(g711.decode_mulaw(thinned), SPEECH_RATE_HZ // THIN, CALLER_RATE_HZ)


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
