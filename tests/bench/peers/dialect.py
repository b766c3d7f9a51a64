"""The `plain` dialect as the project's callers speak it to a peer's server: `bench.peers.dialect:PLAIN`."""

from collections.abc import Sequence

from bench.peers import plain
from trunkline.cli.load.dialect import Ear, Turns
from trunkline.cli.load.frames import Message, Opcode

BYTES_PER_S = plain.SAMPLE_BYTES * plain.RATE_HZ
_READY, _DONE = plain.READY.encode(), plain.DONE.encode()


class Plain:
    path = "/"
    rate_hz = plain.RATE_HZ

    def headers(self, key: str) -> dict[str, str]:
        return {}

    def opening(self, turns: Turns) -> Sequence[Message]:
        return ()

    def frame(self, pcm: bytes) -> Message:
        return Message(Opcode.BINARY, pcm)

    def commit(self) -> Sequence[Message]:
        return (Message(Opcode.TEXT, plain.COMMIT.encode()),)

    def cancel(self) -> Sequence[Message]:
        return ()

    def read(self, opcode: int, payload: bytes, ear: Ear) -> None:
        if opcode == Opcode.BINARY:
            ear.audio(len(payload) / BYTES_PER_S)
        elif payload == _DONE:
            ear.reply_over()
        elif payload == _READY:
            ear.set_up()
            ear.may_speak()
        else:
            ear.failed(f"not a word of this dialect: {payload[:40]!r}")


PLAIN = Plain()
