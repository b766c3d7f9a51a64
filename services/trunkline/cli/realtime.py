"""The part of the Realtime protocol that a caller speaks, as Structs; what it hears is `trunkline.client.ServerEvent`.

Format: OpenAI Realtime (GA), events over WebSocket.
"""

import msgspec

from trunkline.proto.audio import SPEECH_RATE_HZ

PCM_FORMAT = {"type": "audio/pcm", "rate": SPEECH_RATE_HZ}


class Truncate(msgspec.Struct, frozen=True, tag="conversation.item.truncate", tag_field="type"):
    """Of this item, no more was heard than audio_end_ms."""

    item_id: str
    audio_end_ms: int
    content_index: int = 0


class SessionUpdate(msgspec.Struct, frozen=True, tag="session.update", tag_field="type"):
    session: dict[str, object]


ClientEvent = Truncate | SessionUpdate


def configure() -> SessionUpdate:
    """24 kHz PCM both ways; the agent, its voice and its turn rules stay the server's."""
    audio = {"input": {"format": PCM_FORMAT}, "output": {"format": PCM_FORMAT}}
    return SessionUpdate({"type": "realtime", "audio": audio})
