"""All services in this process, with null engines and a scripted model; the vendor's own client at their socket."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.realtime_referee import require_vendors
from system.whole import KEY, Whole, hum
from trunkline.agent.models.scripted import Script, ScriptedModel, Words
from trunkline.agent.models.seam import ModelEvent, ModelRequest
from trunkline.bus.port import Bus
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.subjects import Stage
from trunkline.record import CallView
from trunkline.runtime.process import Process, Service
from trunkline.runtime.settings import CoreSettings

DESK = Path(__file__).parent / "desk.py"
STEP_S = 0.02
LIMIT_S = 20.0
SAYS: Script = [[[Words("You said {words}.", "final_answer")]]]


class Model(ScriptedModel):
    """requests: all that it was asked. running: rounds that aren't over."""

    def __init__(self, script: Script = SAYS) -> None:
        super().__init__(script)
        self.requests: list[ModelRequest] = []
        self.running = 0

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.requests.append(request)
        self.running += 1
        try:
            async for event in super().respond(request):
                yield event
        finally:
            self.running -= 1

    @property
    def told(self) -> list[tuple[str, str]]:
        """What the last request has of the conversation: who or what, and the text."""
        return [_line(item) for item in self.requests[-1].items]


def _line(item: Any) -> tuple[str, str]:
    fields = {name: getattr(item, name) for name in item.__struct_fields__}
    who = fields.get("role") or type(item).__name__
    return str(who), str(fields.get("text") or fields.get("output") or fields.get("arguments"))


class Desk(Whole):
    """says: what each utterance is heard as."""

    def __init__(self, script: Script = SAYS, *says: str, **options: Any) -> None:
        self.asked = Model(script)
        self._settings: dict[Stage, tuple[CoreSettings, Callable[[Process, CoreSettings], Service]]] = {}
        super().__init__(*(says or ("How are you?",)), model=self.asked, agent_file=DESK, **options)

    @property
    def client(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.addresses[0].base}/v1", api_key=KEY, max_retries=0)

    async def spare(self, stage: Stage) -> Bus:
        """Another worker of this stage is there; the first one's bus, for it dies with that."""
        first = self.processes[stage]
        settings, build = self._settings[stage]
        await self._start(stage, settings, build, 2)
        await self._beats()
        return first.bus

    async def _start(
        self, stage: Stage, settings: CoreSettings, build: Callable[[Process, CoreSettings], Service], number: int = 1
    ) -> None:
        self._settings[stage] = settings, build
        await super()._start(stage, settings, build, number)

    async def the_record(self) -> CallView:
        """Of the only call, once it is over."""
        (summary,) = await self.store.summaries()
        view, _ = await self.record(summary.call)
        return view


class Line:
    """The vendor's connection; each event is judged as it comes. seen: all of them."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.call = connection
        self.seen: list[Any] = []

    async def next(self) -> Any:
        async with asyncio.timeout(LIMIT_S):
            data = await self.call.recv_bytes()
        require_vendors(msgspec.json.decode(data))
        self.seen.append(self.call.parse_event(data))
        return self.seen[-1]

    async def until(self, *kinds: str) -> Any:
        """The next event of one of these types. An error that isn't waited for fails the test."""
        while (event := await self.next()).type not in kinds:
            assert event.type != "error", event.error
        return event

    async def closed(self) -> int | None:
        """The code with which the server closes."""
        while True:
            try:
                await self.next()
            except ConnectionClosed as end:
                return end.rcvd.code if end.rcvd is not None else None

    async def error(self) -> Any:
        return (await self.until("error")).error

    async def done(self) -> Any:
        """The next response that is over."""
        return (await self.until("response.done")).response

    async def update(self, **session: Any) -> Any:
        await self.call.session.update(session={"type": "realtime", **session})
        return (await self.until("session.updated")).session

    async def types(self, text: str, **where: Any) -> str:
        """The id of the new item."""
        content = [{"type": "input_text", "text": text}]
        await self.call.conversation.item.create(item={"type": "message", "role": "user", "content": content}, **where)
        return str((await self.until("conversation.item.done")).item.id)

    async def asks(self, text: str) -> Any:
        """The response to it."""
        await self.types(text)
        await self.call.response.create()
        return await self.done()

    async def sends(self, audio: bytes, step: int) -> None:
        """As a microphone does. step: bytes in STEP_S."""
        for at in range(0, len(audio), step):
            await self.call.input_audio_buffer.append(audio=base64.b64encode(audio[at : at + step]).decode())
            await asyncio.sleep(STEP_S)

    async def speaks(self, seconds: float = 0.6, silence_s: float = 1.2) -> None:
        """Something to hear for the energy detector, at 24 kHz."""
        audio = hum(seconds).samples.tobytes() + bytes(2 * int(silence_s * SPEECH_RATE_HZ))
        await self.sends(audio, 2 * int(STEP_S * SPEECH_RATE_HZ))

    @property
    def kinds(self) -> list[str]:
        """Of all events, those that repeat the one before left out."""
        names = [str(event.type) for event in self.seen]
        return [name for i, name in enumerate(names) if i == 0 or name != names[i - 1]]


def sound(events: Sequence[Any], item: str | None = None) -> bytes:
    """All that was sent of one item's audio, or of all."""
    deltas = [event for event in events if event.type == "response.output_audio.delta"]
    return b"".join(base64.b64decode(event.delta) for event in deltas if item in (None, event.item_id))


def transcript(events: Sequence[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_audio_transcript.delta")


@asynccontextmanager
async def line(desk: Desk, model: str = "gpt-realtime", key: str = KEY, **options: Any) -> AsyncIterator[Line]:
    """A call by `client.realtime.connect`, whose session has been told."""
    async with (
        desk.client.with_options(api_key=key) as client,
        client.realtime.connect(model=model, **options) as connection,
    ):
        made = Line(connection)
        await made.until("session.created")
        yield made


async def refused(desk: Desk, **options: Any) -> tuple[int, Any]:
    """Of a call that isn't let in: the status, and the error."""
    with pytest.raises(InvalidStatus) as refusal:
        async with line(desk, **options):
            pass
    answer = refusal.value.response
    return answer.status_code, msgspec.json.decode(answer.body or b"null")["error"]
