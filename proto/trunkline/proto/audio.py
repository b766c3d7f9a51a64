"""Audio on the bus: 16-bit little-endian mono samples, many calls in one message.

Callers are heard at CALLER_RATE_HZ and agents speak at SPEECH_RATE_HZ; the gateway and the TTS engine
resample once each at their edge. No JSON, no base64, no header, no trace context here.
"""

from typing import Annotated

import msgspec

CALLER_RATE_HZ = 16_000  # what VAD and recognisers take
SPEECH_RATE_HZ = 24_000  # what clients of the Realtime protocol play
SAMPLE_BYTES = 2
FRAME_MS = 20
CALLER_STREAM = 0  # AudioChunk.stream of a caller's audio; an agent's audio names its segment, from 1

U32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
U64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class AudioChunk(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One run of samples of one call.

    handle: the call at its gateway, unique per gateway boot and never reused.
    attach: the placement that this audio belongs to; a receiver drops any other.
    stream: CALLER_STREAM, or the number of the segment that is spoken.
    position: of the first sample: since the call began (caller, CALLER_RATE_HZ) or since the segment
        began (agent, SPEECH_RATE_HZ).
    last: nothing follows in this stream for now (end of a segment).
    """

    handle: U64
    attach: U64
    stream: U32
    position: U64
    pcm: bytes
    last: bool = False


class AudioBatch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """sender: `<stage>.<worker>`; of a batch from a gateway, handles are that gateway's."""

    sender: str
    chunks: list[AudioChunk]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AudioBatch)


def encode_batch(batch: AudioBatch) -> bytes:
    return _encoder.encode(batch)


def decode_batch(data: bytes) -> AudioBatch:
    """Raises msgspec.ValidationError or msgspec.DecodeError, and ValueError for a torn sample."""
    batch = _decoder.decode(data)
    for chunk in batch.chunks:
        if len(chunk.pcm) % SAMPLE_BYTES:
            raise ValueError(f"audio of handle {chunk.handle} has an odd number of bytes: {len(chunk.pcm)}")
    return batch
