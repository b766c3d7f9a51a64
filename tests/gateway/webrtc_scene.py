"""A browser's part of a call over WebRTC, played by aiortc: real sockets on loopback, real time."""

import asyncio
from collections.abc import Callable
from fractions import Fraction
from itertools import count
from typing import Any, Protocol

import aiohttp
import av
import msgspec
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from gateway.socket_scene import KEY, Event, Server
from trunkline.gateway.auth import Keys
from trunkline.gateway.calls import Calls
from trunkline.gateway.dialects.realtime.images_in import Pictures
from trunkline.gateway.dialects.realtime.opening import Opening
from trunkline.gateway.dialects.webrtc.endpoint import WebrtcEndpoint
from trunkline.gateway.settings import GatewaySettings

RATE_HZ = 48_000
FRAME = 960
CONNECT_LIMIT_S = 10.0


class RtcServer(Server):
    """It serves WebRTC."""

    def __init__(self, **settings: object) -> None:
        super().__init__(self._make, **settings)
        self.endpoint: WebrtcEndpoint

    def _make(
        self, calls: Calls, keys: Keys, opening: Opening, pictures: Pictures, settings: GatewaySettings
    ) -> WebrtcEndpoint:
        self.endpoint = WebrtcEndpoint(calls, keys, opening, pictures, settings)
        return self.endpoint


class Called(Protocol):
    """client: of the gateway's address."""

    client: aiohttp.ClientSession


class Microphone(MediaStreamTrack):
    """Silence until it is given something to say. samples: int16 at RATE_HZ."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._say = np.zeros(0, dtype=np.int16)
        self._at = 0
        self._begun_s = 0.0

    def say(self, samples: np.ndarray) -> None:
        self._say = np.concatenate((self._say, samples.astype(np.int16)))

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        self._begun_s = self._begun_s or loop.time()
        await asyncio.sleep(max(0.0, self._begun_s + self._at / RATE_HZ - loop.time()))
        part, self._say = self._say[:FRAME], self._say[FRAME:]
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(np.pad(part, (0, FRAME - len(part))).astype("<i2").tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._at, Fraction(1, RATE_HZ)
        self._at += FRAME
        return frame


class Browser:
    """`async with Browser(server) as browser`: connected, and its channel open. heard: what came, at RATE_HZ.

    spell: what it makes of the offer, before that is sent. silent: it opens no channel.
    session: JSON, sent with the offer in one form; empty for the offer alone.
    """

    def __init__(
        self,
        server: Called,
        key: str = KEY,
        path: str = "/v1/realtime/calls?model=gpt-realtime",
        spell: Callable[[str], str] = lambda sdp: sdp,
        silent: bool = False,
        session: str = "",
    ) -> None:
        self._session = session
        self._spell = spell
        self._server = server
        self._key = key
        self._path = path
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.seen: list[Event] = []
        self.heard: list[np.ndarray] = []
        self.location = ""
        self.closed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self.pc.addTrack(self.microphone)
        self.pc.on("track", self._track)
        self.pc.on("connectionstatechange", self._state)
        if silent:
            self._open.set()
            return
        self.channel = self.pc.createDataChannel("oai-events")
        self.channel.on("open", self._open.set)
        self.channel.on("close", self.closed.set)
        self.channel.on("message", lambda text: self.events.put_nowait(msgspec.json.decode(text)))

    async def offer(self) -> str:
        """The answer; nobody connects yet."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        headers = {"Authorization": f"Bearer {self._key}"}
        body: str | aiohttp.FormData = self._spell(without_candidates(self.pc.localDescription.sdp))
        if self._session:
            form = aiohttp.FormData()
            form.add_field("sdp", body, content_type="application/sdp")
            form.add_field("session", self._session, content_type="application/json")
            body = form
        else:
            headers["Content-Type"] = "application/sdp"
        async with self._server.client.post(self._path, data=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == 201, text
            self.location = answer.headers["Location"]
        return text

    async def __aenter__(self) -> "Browser":
        await self.pc.setRemoteDescription(RTCSessionDescription(await self.offer(), "answer"))
        await asyncio.wait_for(self._open.wait(), CONNECT_LIMIT_S)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.pc.close()
        if self._listening is not None:
            await asyncio.wait((self._listening,))

    @property
    def call_id(self) -> str:
        return self.location.rpartition("/")[2]

    def send(self, **event: object) -> None:
        self.channel.send(msgspec.json.encode(event).decode())

    async def next(self) -> Event:
        event = await asyncio.wait_for(self.events.get(), 5.0)
        self.seen.append(event)
        return event

    async def until(self, kind: str) -> Event:
        """The next event of this type; those before it are in `seen`."""
        while True:
            event = await self.next()
            if event["type"] == kind:
                return event

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.seen]

    def sound(self) -> np.ndarray:
        return np.concatenate(self.heard) if self.heard else np.zeros(0, dtype=np.int16)

    def is_killed(self) -> None:
        """Nothing it gets is answered, and nothing leaves it."""
        for sender in self.pc.getSenders():
            for protocol in sender.transport.transport._connection._protocols:
                protocol.datagram_received = lambda data, addr: None  # type: ignore[method-assign]
                protocol.transport.sendto = lambda data, addr=None: None  # type: ignore[method-assign]

    def loses(self, *, every: int) -> None:
        """Of the packets of its microphone, each so many-th."""
        ice = self.pc.getSenders()[0].transport.transport
        send, numbers = ice._send, count(1)

        async def lose(data: bytes) -> None:
            audio = (127 < data[0] < 192 and data[1] & 0x7F < 64) or data[1] & 0x7F > 95
            if not audio or next(numbers) % every:
                await send(data)

        ice._send = lose

    def _track(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame: Any = await track.recv()
                self.heard.append(frame.to_ndarray().reshape(-1, 2)[:, 0])
        except Exception:  # the track ended: aiortc has an exception for it
            return

    def _state(self) -> None:
        if self.pc.connectionState in ("closed", "failed"):
            self.closed.set()


def without_candidates(sdp: str) -> str:
    """As a browser offers that hides its addresses, and waits for none."""
    lines = [line for line in sdp.splitlines() if not line.startswith(("a=candidate", "a=end-of-candidates"))]
    return "\r\n".join(lines) + "\r\n"
