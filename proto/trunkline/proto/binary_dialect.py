"""The binary messages of the subprotocol `trunkline.binary.v1`; docs/binary.md tells the whole dialect. Pure.

Rule: version 1 stays as it is: whatever would change the meaning of a message gets a name of its own.
"""

import struct
from typing import NamedTuple

from trunkline.proto.audio import SAMPLE_BYTES

SUBPROTOCOL = "trunkline.binary.v1"
PCM = "audio/pcm"
INPUT_RATES_HZ = (24_000, 16_000)  # of audio/pcm, the protocol's own first
G711_SAMPLES = 3  # at SPEECH_RATE_HZ, that one of its samples stands for
_HEADER = struct.Struct("<II")
HEADER_BYTES = _HEADER.size


class AudioMessage(NamedTuple):
    """A piece of an agent's audio. stream: as announced. position: of its first sample, in the segment that the stream
    is of, at SPEECH_RATE_HZ whatever the format. audio: in the stream's format."""

    stream: int
    position: int
    audio: bytes


def pack(stream: int, position: int, audio: bytes) -> bytes:
    """stream, position: below 2**32."""
    return _HEADER.pack(stream, position) + audio


def unpack(data: bytes) -> AudioMessage:
    """Raises ValueError for what is shorter than its header."""
    if len(data) < HEADER_BYTES:
        raise ValueError(f"a binary message of {len(data)} bytes has no header")
    stream, position = _HEADER.unpack_from(data)
    return AudioMessage(stream, position, data[HEADER_BYTES:])


def speech_samples(format_type: str, audio_bytes: int) -> int:
    """How many samples at SPEECH_RATE_HZ so much audio to a client stands for."""
    return audio_bytes // SAMPLE_BYTES if format_type == PCM else audio_bytes * G711_SAMPLES
