"""The part of the Realtime protocol that a caller speaks, as Structs.

Format: OpenAI Realtime (GA), events over WebSocket. What a caller has no use for decodes too: unknown
fields and types are passed over.
"""

from typing import Literal

import msgspec

from trunkline.proto.audio import SPEECH_RATE_HZ

PCM_FORMAT = {"type": "audio/pcm", "rate": SPEECH_RATE_HZ}


class Append(msgspec.Struct, frozen=True, tag="input_audio_buffer.append", tag_field="type"):
    """audio: PCM of the session's format; base64 on the wire."""

    audio: bytes


class Truncate(msgspec.Struct, frozen=True, tag="conversation.item.truncate", tag_field="type"):
    """Of this item, no more was heard than audio_end_ms."""

    item_id: str
    audio_end_ms: int
    content_index: int = 0


class SessionUpdate(msgspec.Struct, frozen=True, tag="session.update", tag_field="type"):
    session: dict[str, object]


ClientEvent = Append | Truncate | SessionUpdate


def configure() -> SessionUpdate:
    """24 kHz PCM both ways; the agent, its voice and its turn rules stay the server's."""
    audio = {"input": {"format": PCM_FORMAT}, "output": {"format": PCM_FORMAT}}
    return SessionUpdate({"type": "realtime", "audio": audio})


class Session(msgspec.Struct, frozen=True):
    id: str = ""


class Item(msgspec.Struct, frozen=True):
    id: str = ""
    role: str = ""
    phase: Literal["commentary", "final_answer"] | None = None


class Response(msgspec.Struct, frozen=True):
    id: str = ""
    status: str = ""


class Problem(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | None = None


class ServerEvent(msgspec.Struct, frozen=True):
    """Any event of the server; fields that its type doesn't have are empty. delta: base64 for audio, else text."""

    type: str
    item_id: str = ""
    response_id: str = ""
    delta: str = ""
    transcript: str = ""
    session: Session = Session()
    item: Item = Item()
    response: Response = Response()
    error: Problem = Problem()


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(ServerEvent).decode
