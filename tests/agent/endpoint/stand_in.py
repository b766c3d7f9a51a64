"""An endpoint that answers what a test tells it to, over real sockets, and sees when a client goes away."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import web

from trunkline.agent.models.choose import choose
from trunkline.agent.models.seam import MessageItem, Model, ModelEvent, ModelRequest
from trunkline.agent.settings import AgentSettings
from trunkline.record import FileStore

KEY = "sk-very-secret-0123456789"
ASKED = ModelRequest("Be kind.", (MessageItem("user", None, "Hello."),), (), "rtc_00_a", agent="desk")


class Pause(msgspec.Struct, frozen=True):
    seconds: float


class Hang(msgspec.Struct, frozen=True):
    """Nothing more, until the client goes away."""


class Cut(msgspec.Struct, frozen=True):
    """The connection breaks."""


Step = bytes | Pause | Hang | Cut


class Reply(msgspec.Struct, frozen=True):
    steps: tuple[Step, ...]
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str = "text/event-stream"


def refusal(status: int, message: str, code: str = "", param: str = "", **headers: str) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": param or None, "code": code or None}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((msgspec.json.encode({"error": error}),), status, named, "application/json")


class Asked(msgspec.Struct, frozen=True):
    """A request as it came. peer: the client's end of the socket."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    peer: str
    at_s: float


class StandIn:
    """`async with StandIn(b"…", …) as endpoint`: each request gets the next reply, the last one again and again."""

    def __init__(self, *replies: bytes | Reply) -> None:
        self.replies = [reply if isinstance(reply, Reply) else Reply((reply,)) for reply in replies]
        self.asked: list[Asked] = []
        self.left = asyncio.Event()  # a client went away in mid-answer
        self._models: list[Model] = []

    async def __aenter__(self) -> "StandIn":
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for model in self._models:
            await model.close()
        await self._runner.cleanup()

    def model(self, engine: str = "responses", files: FileStore | None = None, **settings: Any) -> Model:
        """That asks here. files: that it reads pictures from."""
        known = {"model_url": self.url, "model_name": "gpt-5.5", "model_key": KEY, **settings}
        self._models.append(choose(AgentSettings(engine_model=engine, **known), files))
        return self._models[-1]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        now_s = asyncio.get_running_loop().time()
        assert request.transport is not None
        peer = str(request.transport.get_extra_info("peername"))
        body = msgspec.json.decode(await request.read())
        self.asked.append(Asked(request.path, dict(request.headers), body, peer, now_s))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        response = web.StreamResponse(
            status=reply.status, headers={**reply.headers, "Content-Type": reply.content_type}
        )
        try:
            return await self._play(request, response, reply)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise

    async def _play(self, request: web.Request, response: web.StreamResponse, reply: Reply) -> web.StreamResponse:
        """A reply that begins with a pause doesn't even send its head before."""
        for step in reply.steps:
            match step:
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Hang():
                    await asyncio.Event().wait()
                case Cut():
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                case bytes():
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(step)
        await response.write_eof()
        return response


async def events_of(model: Model, request: ModelRequest = ASKED) -> list[ModelEvent]:
    return [event async for event in model.respond(request)]
