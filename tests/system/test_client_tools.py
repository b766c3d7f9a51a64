"""A client that carries out tools of its own, over all services: asked, answered, denied, interrupted, agents lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from support.virtual import run_over_sockets
from system.client_desk import DENIED
from system.whole import KEY, Whole
from trunkline.agent.models.scripted import Call, Script, ScriptedModel, Words
from trunkline.client import connect
from trunkline.client.events import ServerEvent
from trunkline.proto.record import ToolFinished
from trunkline.record import CallView, read_call
from trunkline.runtime.settings import CoreSettings

DESK = Path(__file__).parent / "client_desk.py"
ARGUMENTS = {"page": msgspec.Raw(b'"{words}"')}
SHOWS: Script = [
    [[Words("One moment, please. ", "commentary"), Call("open_page", ARGUMENTS)], [Words("So it is.", "final_answer")]]
]
BOTH: Script = [[[Call("search_archive"), Call("open_page", ARGUMENTS)], [Words("So it is.", "final_answer")]]]
PAGE = {"type": "object", "properties": {"page": {"type": "string"}}, "required": ["page"]}
TOOLS = [{"type": "function", "name": "open_page", "description": "Opens a page.", "parameters": PAGE}]
SESSION = {"type": "realtime", "tools": TOOLS}
Event = dict[str, Any]


class Client:
    """A raw client of the protocol. frames: all that it got."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[Event] = []

    async def until(self, kind: str) -> Event:
        while True:
            message = await self.socket.receive(30)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            self.frames.append(msgspec.json.decode(message.data))
            if self.frames[-1]["type"] == kind:
                return self.frames[-1]

    async def asks(self, words: str) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
        await self.socket.send_json({"type": "conversation.item.create", "item": item})
        await self.socket.send_json({"type": "response.create"})

    async def is_asked(self) -> Event:
        done = await self.until("response.output_item.done")
        while done["item"]["type"] != "function_call":
            done = await self.until("response.output_item.done")
        item: Event = done["item"]
        return item

    async def answers(self, call_id: str, output: str) -> Event:
        """What the agent makes of it."""
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        await self.socket.send_json({"type": "conversation.item.create", "item": item})
        await self.socket.send_json({"type": "response.create"})
        response: Event = (await self.until("response.done"))["response"]
        return response

    @property
    def calls(self) -> list[Event]:
        done = [e["item"] for e in self.frames if e["type"] == "response.output_item.done"]
        return [item for item in done if item["type"] == "function_call"]

    @property
    def transcript(self) -> str:
        return "".join(e["delta"] for e in self.frames if e["type"] == "response.output_audio_transcript.delta")


@asynccontextmanager
async def client(whole: Whole) -> AsyncIterator[Client]:
    key = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{whole.addresses[0].realtime}?model=client desk", headers=key) as socket,
    ):
        made = Client(socket)
        await socket.send_json({"type": "session.update", "session": SESSION})
        await made.until("session.updated")
        yield made


async def record_of(whole: Whole) -> CallView:
    (summary,) = await whole.store.summaries()
    view, _ = await whole.record(summary.call)
    return view


def desk(script: Script, **options: Any) -> Whole:
    return Whole(model=ScriptedModel(script), agent_file=DESK, **options)


async def lose_agent(whole: Whole) -> None:
    """The one that there is; another takes its calls."""
    lost = whole.processes["agent"]
    await whole._start("agent", CoreSettings(), whole._agent, 2)
    await whole._beats()
    await lost.bus.close()


def test_a_client_carries_out_its_tool_and_the_answer_is_spoken() -> None:
    async def main() -> None:
        async with desk(SHOWS) as whole:
            async with client(whole) as mine:
                await mine.asks("seven")
                call = await mine.is_asked()
                first = (await mine.until("response.done"))["response"]
                second = await mine.answers(call["call_id"], '{"open":true}')
            view = await record_of(whole)

        assert (call["name"], call["arguments"], call["status"]) == ("open_page", '{"page":"seven"}', "completed")
        assert [item["type"] for item in first["output"]] == ["message", "function_call"]
        assert [(item["phase"], item["status"]) for item in second["output"]] == [("final_answer", "completed")]
        assert mine.transcript == "One moment, please. So it is."
        assert [kind["type"] for kind in mine.frames].count("response.output_audio.done") == 2
        (tool,) = view.tools.values()
        assert (tool.runs, tool.status, tool.output, tool.arguments) == (
            "client",
            "ok",
            '{"open":true}',
            '{"page":"seven"}',
        )
        assert [(one.name, one.description) for one in view.equipped.tools] == [("open_page", "Opens a page.")]

    run_over_sockets(main())


def test_what_policy_denies_never_reaches_the_client() -> None:
    async def main() -> None:
        async with desk(SHOWS) as whole:
            async with client(whole) as mine:
                await mine.asks("thirteen")
                response = (await mine.until("response.done"))["response"]
            view = await record_of(whole)

        assert mine.calls == []
        assert "function_call" not in msgspec.json.encode(mine.frames[3:]).decode()
        assert response["status"] == "completed"
        assert mine.transcript == "One moment, please. So it is."
        (tool,) = view.tools.values()
        assert (tool.status, tool.output) == ("denied", DENIED)

    run_over_sockets(main())


def test_a_response_that_is_cancelled_before_its_words_are_over_asks_nothing() -> None:
    async def main() -> None:
        async with desk(SHOWS, segment_ms=3000) as whole:
            async with client(whole) as mine:
                await mine.asks("seven")
                await mine.until("response.output_audio.delta")
                await asyncio.sleep(0.5)
                await mine.socket.send_json({"type": "response.cancel"})
                cancelled = (await mine.until("response.done"))["response"]
                await mine.asks("eight")
                call = await mine.is_asked()
                await mine.until("response.done")
                await mine.answers(call["call_id"], "open")
            view = await record_of(whole)

        assert cancelled["status"] == "cancelled"
        assert [item["arguments"] for item in mine.calls] == ['{"page":"eight"}']
        assert [(tool.arguments, tool.status) for tool in view.tools.values()] == [
            ('{"page":"seven"}', "cancelled"),
            ('{"page":"eight"}', "ok"),
        ]

    run_over_sockets(main())


def test_an_agent_that_is_lost_while_the_client_works_changes_nothing() -> None:
    async def main() -> None:
        async with desk(SHOWS) as whole:
            async with client(whole) as mine:
                await mine.asks("seven")
                call = await mine.is_asked()
                await mine.until("response.done")
                await lose_agent(whole)
                response = await mine.answers(call["call_id"], "open")
            view = await record_of(whole)

        assert response["status"] == "completed"
        assert len(mine.calls) == 1
        assert mine.transcript == "One moment, please. So it is."
        assert view.epoch == 2
        assert [(tool.status, tool.output) for tool in view.tools.values()] == [("ok", '"open"')]

    run_over_sockets(main())


def test_an_agent_that_is_lost_between_the_intent_and_the_client_leaves_it_to_the_next() -> None:
    async def main() -> None:
        async with desk(BOTH) as whole:
            async with client(whole) as mine:
                await mine.asks("seven")
                await asyncio.sleep(0.7)  # the archive is being searched
                (summary,) = await whole.store.summaries()
                before = await read_call(whole.store, summary.call)
                await lose_agent(whole)
                call = await mine.is_asked()
                await mine.until("response.done")
                response = await mine.answers(call["call_id"], "open")
            view = await record_of(whole)

        assert before is not None
        assert [tool.status for tool in before[0].tools.values()] == [None, None]
        assert response["status"] == "completed"
        assert len(mine.calls) == 1
        assert view.epoch == 2
        assert {tool.name: tool.status for tool in view.tools.values()} == {"open_page": "ok", "search_archive": "ok"}

    run_over_sockets(main())


async def next_of(events: AsyncIterator[ServerEvent], kind: str) -> ServerEvent:
    while (event := await anext(events)).type != kind:
        pass
    return event


def test_a_client_of_ours_that_loses_its_gateway_is_asked_once_and_its_output_counts_once() -> None:
    async def main() -> None:
        async with desk(SHOWS, gateways=2) as whole:
            async with connect([address.realtime for address in whole.addresses], KEY, model="client desk") as call:
                seen: list[ServerEvent] = []

                async def told() -> AsyncIterator[ServerEvent]:
                    async for event in call:
                        seen.append(event)
                        yield event

                events = told()
                call.send({"type": "session.update", "session": SESSION})
                content = [{"type": "input_text", "text": "seven"}]
                call.send(
                    {
                        "type": "conversation.item.create",
                        "item": {"type": "message", "role": "user", "content": content},
                    }
                )
                call.send({"type": "response.create"})
                asked = msgspec.json.decode((await next_of(events, "response.function_call_arguments.done")).text)
                await next_of(events, "response.done")

                bus = whole.gateway_buses[0]
                publish = bus.publish

                def deafen(subject: str, data: bytes, **options: object) -> None:
                    """The agent hears nothing of this gateway any more."""
                    if ".agent." not in subject:
                        publish(subject, data, **options)  # type: ignore[arg-type]  # handed on as they came

                bus.publish = deafen  # type: ignore[method-assign]
                given = {"type": "function_call_output", "call_id": asked["call_id"], "output": "open"}
                call.send({"type": "conversation.item.create", "item": given})
                call.send({"type": "response.create"})
                await next_of(events, "conversation.item.done")
                await whole.kill_gateway(0)
                await next_of(events, "response.done")
                assert call.resumed == 1
            view, recorded = await whole.record(call.id)

        kinds = [event.type for event in seen]
        assert kinds.count("response.function_call_arguments.done") == 1
        assert kinds.count("response.function_call_arguments.delta") == 1
        assert kinds.count("error") == 0
        outputs = [
            event for event in seen if event.type == "conversation.item.done" and '"function_call_output"' in event.text
        ]
        assert len(outputs) == 1
        assert [event.output for event in recorded if isinstance(event, ToolFinished)] == ['"open"']
        assert [item.text for item in view.items.values() if item.role == "assistant"] == [
            "One moment, please. ",
            "So it is.",
        ]

    run_over_sockets(main())
