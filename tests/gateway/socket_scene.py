"""The gateway's HTTP server on a free port, in front of a scene's workers; a client that takes what comes."""

import asyncio
import base64
from types import TracebackType
from typing import Any

import aiohttp
import msgspec

from gateway.scene import Scene
from support.realtime_referee import require_vendors
from trunkline.gateway.service import GatewayService, MakeEndpoint
from trunkline.gateway.settings import GatewaySettings
from trunkline.gateway.stores import Stores
from trunkline.proto.binary_dialect import unpack
from trunkline.record import Bucket, FileStore, MemoryBucket, MemoryFileStore, MemoryRecordStore
from trunkline.runtime.process import Context

KEY = "sk-test"
LIMIT_BYTES = 40_000
WALL_S = 1_800_000_000.0  # seconds since 1970, while no test moves it
Event = dict[str, Any]


class Server:
    """`async with Server() as server`: a Scene whose calls come over real sockets. webrtc: as of GatewayService."""

    def __init__(self, webrtc: MakeEndpoint | None = None, **settings: object) -> None:
        self._webrtc = webrtc
        self.scene = Scene()
        given = {"port": 0, "api_keys": f"{KEY}, sk-other", "message_limit_bytes": LIMIT_BYTES} | settings
        self.settings = msgspec.convert(given, GatewaySettings)
        self.store = MemoryRecordStore()
        self.sessions: Bucket = MemoryBucket()
        self.responses: Bucket = MemoryBucket()
        self.files: FileStore = MemoryFileStore(lambda: self.wall_s)
        self.wall_s = WALL_S
        self.service: GatewayService

    async def __aenter__(self) -> "Server":
        await self.scene.__aenter__()
        context = Context(self.scene.bus, self.scene.exchange, "gateway-1", self.settings)
        self.stores = Stores(self.store, self.sessions, self.responses, self.files)
        self.service = GatewayService(context, self.settings, self.stores, lambda: self.wall_s, self._webrtc)
        await self.service.start()
        self.client = aiohttp.ClientSession(f"http://127.0.0.1:{self.service.port}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()
        await self.service.drain(0.0)
        await self.service.stop()
        await self.scene.__aexit__()

    def connect(
        self,
        key: str = KEY,
        model: str = "gpt-realtime",
        *,
        token: str = "",
        ours: bool = False,
        binary: bool = False,
    ) -> "Caller":
        """token: of a call that goes on. ours: a client that can come back by itself. binary: one of ours, in the
        binary dialect. model: empty for none."""
        params = {"resume_token": token} if token else {"model": model} if model else {}
        return Caller(self, key, params, ours=ours or binary, binary=binary)

    def transcribe(self, key: str = KEY, **query: str) -> "Caller":
        """A transcription session; query: nothing for what a key is bound to."""
        return Caller(self, key, query, ours=False)

    async def mint(self, body: object = None, key: str = KEY) -> tuple[int, Any]:
        """An ephemeral key. body: None for an empty object."""
        headers = {"Authorization": f"Bearer {key}"}
        async with self.client.post("/v1/realtime/client_secrets", json=body or {}, headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, key: str = KEY) -> tuple[int, Any]:
        async with self.client.get(path, headers={"Authorization": f"Bearer {key}"}) as answer:
            return answer.status, await answer.json()

    async def refused(
        self,
        key: str = KEY,
        model: str = "gpt-realtime",
        token: str | None = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Event, str]:
        """(status, body, Retry-After) of an upgrade that isn't granted. query: in place of the model. headers: more."""
        headers = (headers or {}) | {
            "Authorization": f"Bearer {key}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
        }
        params = query or ({"model": model} if token is None else {"resume_token": token})
        async with self.client.get("/v1/realtime", params=params, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers.get("Retry-After", "")


class Caller:
    """`async with server.connect() as caller`."""

    def __init__(self, server: Server, key: str, params: dict[str, str], *, ours: bool, binary: bool = False) -> None:
        self._server = server
        self._key = key
        self._params = params
        self._ours = ours
        self._binary = binary
        self._protocols = ("trunkline.binary.v1",) if binary else ("trunkline.resume.v1",) if ours else ("realtime",)
        self.seen: list[Event] = []

    async def __aenter__(self) -> "Caller":
        self.socket = await self._server.client.ws_connect(
            "/v1/realtime",
            params=self._params,
            headers={"Authorization": f"Bearer {self._key}"},
            protocols=self._protocols,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.socket.close()

    async def send(self, **event: object) -> None:
        await self.socket.send_str(msgspec.json.encode(event).decode())

    async def append(self, audio: bytes) -> None:
        if self._binary:
            await self.socket.send_bytes(audio)
            return
        await self.send(type="input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    def breaks(self) -> None:
        """Its line breaks, without a closing handshake."""
        self.socket._response.connection.transport.abort()  # type: ignore[union-attr]  # aiohttp offers no other way

    def reads_no_more(self) -> None:
        self.socket._response.connection.transport.pause_reading()  # type: ignore[union-attr]  # as above

    async def next(self) -> Event:
        message = await asyncio.wait_for(self.socket.receive(), 5.0)
        if self._binary and message.type is aiohttp.WSMsgType.BINARY:
            event: Event = {"type": "binary", **unpack(message.data)._asdict()}
        else:
            assert message.type is aiohttp.WSMsgType.TEXT, message
            event = msgspec.json.decode(message.data)
            require_vendors(event, ours=self._ours)
        self.seen.append(event)
        return event

    async def until(self, kind: str) -> Event:
        """The next event of this type; those before it are in `seen`."""
        while True:
            event = await self.next()
            if event["type"] == kind:
                return event

    async def closed(self) -> int | None:
        """The code with which the server closed."""
        while True:
            message = await asyncio.wait_for(self.socket.receive(), 5.0)
            if message.type is aiohttp.WSMsgType.CLOSE:
                return int(message.data)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return self.socket.close_code
            self.seen.append(msgspec.json.decode(message.data))

    async def error(self) -> Event:
        event = await self.until("error")
        error = event["error"]
        assert isinstance(error, dict)
        return error
