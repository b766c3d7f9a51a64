"""The Realtime protocol with audio in binary messages (docs/binary.md), at the rate of recognisers on the way in."""

from collections.abc import Mapping

from trunkline.cli.load import link
from trunkline.cli.load.dialect import Ear
from trunkline.cli.load.frames import Message, Opcode
from trunkline.cli.load.realtime import SPEECH_BYTES_PER_S, Realtime
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.binary_dialect import HEADER_BYTES, SUBPROTOCOL


class Binary(Realtime):
    rate_hz = CALLER_RATE_HZ
    input_format: Mapping[str, object] = {"type": "audio/pcm", "rate": CALLER_RATE_HZ}

    def headers(self, key: str) -> dict[str, str]:
        return {**super().headers(key), link.SUBPROTOCOL: SUBPROTOCOL}

    def frame(self, pcm: bytes) -> Message:
        return Message(Opcode.BINARY, pcm)

    def read(self, opcode: int, payload: bytes, ear: Ear) -> None:
        if opcode == Opcode.BINARY:
            ear.audio((len(payload) - HEADER_BYTES) / SPEECH_BYTES_PER_S)
        else:
            super().read(opcode, payload, ear)


BINARY = Binary()
