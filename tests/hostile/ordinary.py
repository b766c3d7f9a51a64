"""An ordinary caller: has one turn after the other, and notes how long it waited and how late what it heard came."""

import asyncio
import base64
import time
from typing import Any, NamedTuple

import aiohttp
import msgspec

from trunkline.cli.stack import Address

RATE_HZ, SAMPLE_BYTES, FRAME_S = 24_000, 2, 0.02
FRAME = base64.b64encode(b"\x00\x20\x00\xe0" * 240).decode()
SAID_FRAMES = 25
REPLY_LIMIT_S = 20.0
DETECTION = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


class Heard(NamedTuple):
    """set_up_s: from the dialling to the session. first_audio_s: from each turn's commit. late_s: of each piece of
    audio, behind when the one before was over; 0 for what came in time."""

    set_up_s: float
    first_audio_s: list[float]
    late_s: list[float]


class Ordinary:
    """`async with Ordinary(address) as caller`: a call; what it heard comes from `hear`."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def __aenter__(self) -> "Ordinary":
        began_s = time.monotonic()
        self._http = aiohttp.ClientSession()
        headers = {"Authorization": f"Bearer {self._address.key}"}
        self._socket = await self._http.ws_connect(self._address.realtime, headers=headers)
        await self._until("session.created")
        self._set_up_s = time.monotonic() - began_s
        await self._send(type="session.update", session=DETECTION)
        await self._until("session.updated")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._socket.close()
        await self._http.close()

    async def hear(self, seconds: float) -> Heard:
        """Turns that begin within so many. Raises TimeoutError where one isn't answered."""
        until_s, heard = time.monotonic() + seconds, Heard(self._set_up_s, [], [])
        while time.monotonic() < until_s:
            await self._speak()
            async with asyncio.timeout(REPLY_LIMIT_S):
                await self._listen(heard)
        return heard

    async def _speak(self) -> None:
        began_s = time.monotonic()
        for number in range(SAID_FRAMES):
            await asyncio.sleep(began_s + number * FRAME_S - time.monotonic())
            await self._send(type="input_audio_buffer.append", audio=FRAME)
        await self._send(type="input_audio_buffer.commit")
        await self._send(type="response.create")

    async def _listen(self, heard: Heard) -> None:
        committed_s, over_s = time.monotonic(), 0.0  # over: what came so far, if all of it was played at once
        while (event := await self._next())["type"] != "response.done":
            if event["type"] != "response.output_audio.delta":
                continue
            now_s = time.monotonic()
            if over_s:
                heard.late_s.append(max(0.0, now_s - over_s))
            else:
                heard.first_audio_s.append(now_s - committed_s)
            over_s = max(now_s, over_s) + len(base64.b64decode(event["delta"])) / SAMPLE_BYTES / RATE_HZ
        assert event["response"]["status"] == "completed", event
        assert over_s, "nothing was said"

    async def _until(self, kind: str) -> None:
        async with asyncio.timeout(REPLY_LIMIT_S):
            while (await self._next())["type"] != kind:
                pass

    async def _next(self) -> dict[str, Any]:
        message = await self._socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        event: dict[str, Any] = msgspec.json.decode(message.data)
        assert event["type"] != "error", event
        return event

    async def _send(self, **event: object) -> None:
        await self._socket.send_str(msgspec.json.encode(event).decode())
