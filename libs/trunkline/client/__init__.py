"""For programs that call agents: one stream of events over a socket that may be lost and found again.

async with connect("ws://127.0.0.1:8080/v1/realtime", key) as call:
    call.append_audio(pcm)
    async for event in call: ...
"""

from trunkline.client.call import Call, connect
from trunkline.client.errors import CallLost, ClientError, NotAnEvent, Refused, Unreachable
from trunkline.client.events import ServerEvent

__all__ = ["Call", "CallLost", "ClientError", "NotAnEvent", "Refused", "ServerEvent", "Unreachable", "connect"]
