"""Audio at the client's edge: its formats to and from the call's rates, each resampled once, streaming."""

import numpy as np

from trunkline.audio import g711, pcm
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import Resampler
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.gateway.edge import Ear
from trunkline.proto.audio import SPEECH_RATE_HZ


def ear_of(wanted: Format) -> Ear:
    """From the client's format to CALLER_RATE_HZ."""
    decode = {"audio/pcmu": g711.decode_mulaw, "audio/pcma": g711.decode_alaw}.get(wanted.type)
    return Ear(wanted.rate_hz, decode)


class Mouth:
    """From SPEECH_RATE_HZ to the client's format."""

    def __init__(self, wanted: Format) -> None:
        self.format = wanted
        self._resampler = None if wanted.rate_hz == SPEECH_RATE_HZ else Resampler(SPEECH_RATE_HZ, wanted.rate_hz)

    def say(self, speech: bytes) -> bytes:
        """speech: int16 LE at SPEECH_RATE_HZ. May be shorter than expected; `rest` gives what is held back."""
        if self._resampler is None:
            return speech
        return self._encode(self._resampler.push(pcm.from_bytes(speech)))

    def rest(self) -> bytes:
        return b"" if self._resampler is None else self._encode(self._resampler.flush())

    def _encode(self, samples: Samples) -> bytes:
        samples = np.ascontiguousarray(samples)
        return g711.encode_mulaw(samples) if self.format.type == "audio/pcmu" else g711.encode_alaw(samples)
