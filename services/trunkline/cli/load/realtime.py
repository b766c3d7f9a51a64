"""The Realtime protocol in JSON, as any client speaks it. Format: OpenAI Realtime (GA), events over WebSocket."""

import base64
from collections.abc import Mapping, Sequence

import msgspec

from trunkline.cli.load.dialect import Ear, Turns
from trunkline.cli.load.frames import Message, Opcode
from trunkline.proto.audio import SPEECH_RATE_HZ

SPEECH_BYTES_PER_S = 2 * SPEECH_RATE_HZ
NOT_ACTIVE = "response_cancel_not_active"  # the reply was over before the word that stops it came
_NOTHING = msgspec.Raw(b"")


class Response(msgspec.Struct, frozen=True, gc=False):
    status: str = ""


class Error(msgspec.Struct, frozen=True, gc=False):
    message: str = ""
    code: str | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """What a caller needs of any event. delta: as it stands in the JSON, with its quotes: its length is enough."""

    type: str
    delta: msgspec.Raw = _NOTHING
    response: Response = Response()
    error: Error = Error()


_decoder = msgspec.json.Decoder(Event)


class Realtime:
    path = "/v1/realtime"
    rate_hz = SPEECH_RATE_HZ
    input_format: Mapping[str, object] = {"type": "audio/pcm", "rate": SPEECH_RATE_HZ}

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def opening(self, turns: Turns) -> Sequence[Message]:
        audio_in: dict[str, object] = {"format": self.input_format}
        if turns == "commit":
            audio_in["turn_detection"] = None
        audio = {"input": audio_in, "output": {"format": {"type": "audio/pcm", "rate": SPEECH_RATE_HZ}}}
        return [_text({"type": "session.update", "session": {"type": "realtime", "audio": audio}})]

    def frame(self, pcm: bytes) -> Message:
        return _text({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})

    def commit(self) -> Sequence[Message]:
        return [_text({"type": "input_audio_buffer.commit"}), _text({"type": "response.create"})]

    def cancel(self) -> Sequence[Message]:
        return [_text({"type": "response.cancel"})]

    def read(self, opcode: int, payload: bytes, ear: Ear) -> None:
        try:
            event = _decoder.decode(payload)
        except msgspec.MsgspecError as error:
            ear.failed(f"no event: {error}")
            return
        match event.type:
            case "response.output_audio.delta":
                ear.audio(_decoded_bytes(event.delta) / SPEECH_BYTES_PER_S)
            case "session.created":
                ear.set_up()
            case "session.updated":
                ear.may_speak()
            case "input_audio_buffer.speech_started":
                ear.noticed()
            case "response.created":
                ear.reply_began()
            case "response.done" if event.response.status == "failed":
                ear.failed("a response failed")
            case "response.done":
                ear.reply_over()
            case "error" if event.error.code != NOT_ACTIVE:
                ear.failed(f"error event: {event.error.message}")


def _text(event: Mapping[str, object]) -> Message:
    return Message(Opcode.TEXT, msgspec.json.encode(event))


def _decoded_bytes(quoted: msgspec.Raw) -> int:
    """Of base64 in quotes."""
    text = memoryview(quoted)
    size = len(text) - 2
    return size // 4 * 3 - (text[-2] == 61) - (text[-3] == 61) if size > 0 else 0


REALTIME = Realtime()
