"""Audio at the client's edge: its formats to and from the call's rates, each resampled once, streaming."""

import numpy as np

from trunkline.audio import g711, pcm
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import Resampler
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.proto.audio import CALLER_RATE_HZ, SAMPLE_BYTES, SPEECH_RATE_HZ
from trunkline.proto.errors import BadInput


class Ear:
    """From the client's format to CALLER_RATE_HZ."""

    def __init__(self, wanted: Format) -> None:
        self.format = wanted
        self._resampler = Resampler(wanted.rate_hz, CALLER_RATE_HZ)

    def hear(self, audio: bytes) -> Samples:
        """Raises BadInput for a torn sample; then nothing of it is taken."""
        if self.format.type == "audio/pcmu":
            samples = g711.decode_mulaw(audio)
        elif self.format.type == "audio/pcma":
            samples = g711.decode_alaw(audio)
        elif len(audio) % SAMPLE_BYTES:
            raise BadInput("audio", f"has an odd number of bytes: {len(audio)}", "whole 16-bit samples")
        else:
            samples = pcm.from_bytes(audio)
        return self._resampler.push(samples)

    def rest(self) -> Samples:
        """What the resampler holds back."""
        return self._resampler.flush()


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
