"""A client's session over all services: the agent that it names answers, and the model is asked as it says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from support.virtual import run_over_sockets
from system.test_client_tools import Client, record_of
from system.whole import KEY, Whole
from trunkline.agent.models.scripted import ScriptedModel, Words
from trunkline.agent.models.seam import ModelEvent, ModelRequest

DESKS = Path(__file__).parent / "two_desks.py"


class Noting(ScriptedModel):
    def __init__(self) -> None:
        super().__init__([[[Words("Good evening.", "final_answer")]]])
        self.asked: list[ModelRequest] = []

    def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(request)
        return super().respond(request)


@asynccontextmanager
async def client(whole: Whole) -> AsyncIterator[Client]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(whole.addresses[0].realtime, headers={"Authorization": f"Bearer {KEY}"}) as socket,
    ):
        yield Client(socket)


async def update(mine: Client, **session: object) -> None:
    await mine.socket.send_json({"type": "session.update", "session": {"type": "realtime"} | session})
    await mine.until("session.updated")


def test_the_agent_that_a_session_names_answers_from_then_on() -> None:
    model = Noting()

    async def main() -> None:
        async with Whole(model=model, agent_file=DESKS) as whole:
            async with client(whole) as mine:
                for name in ("gpt-realtime-2.1", "night", "front"):
                    await update(mine, model=name)
                    await mine.asks("Hello?")
                    await mine.until("response.done")
            view = await record_of(whole)

        assert [request.agent for request in model.asked] == ["front", "night", "front"]
        assert [request.instructions for request in model.asked] == [
            "You are the front desk.",
            "You are the night desk.",
            "You are the front desk.",
        ]
        assert [handoff.event.to for handoff in view.handoffs] == ["night", "front"]

    run_over_sockets(main())


def test_limits_and_effort_of_a_session_reach_the_model() -> None:
    model = Noting()

    async def main() -> None:
        async with Whole(model=model, agent_file=DESKS) as whole, client(whole) as mine:
            await update(mine, max_output_tokens=300, parallel_tool_calls=False, reasoning={"effort": "low"})
            await mine.asks("Hello?")
            await mine.until("response.done")

        settings = model.asked[0].settings
        assert (settings.max_output_tokens, settings.parallel_tool_calls, settings.reasoning_effort) == (
            300,
            False,
            "low",
        )

    run_over_sockets(main())


def test_a_caller_who_says_nothing_is_asked_by_the_model() -> None:
    model = Noting()

    async def main() -> None:
        async with Whole(model=model, agent_file=DESKS) as whole, client(whole) as mine:
            idle = {"type": "server_vad", "idle_timeout_ms": 5000}
            await update(mine, instructions="Rhyme.", audio={"input": {"turn_detection": idle}})
            await mine.asks("Hello?")
            await mine.until("response.done")
            await mine.until("input_audio_buffer.timeout_triggered")
            await mine.until("response.done")

        assert [request.instructions for request in model.asked] == ["Rhyme.", "Rhyme."]
        assert len(model.asked[1].items) == 2  # the caller's words and the answer to them: silence is no words

    run_over_sockets(main())


def test_a_call_that_its_gateway_ends_for_a_failure_has_its_end_on_record() -> None:
    async def main() -> None:
        async with Whole(model=Noting(), agent_file=DESKS) as whole:
            async with client(whole) as mine:
                await mine.socket.send_str(" " * 2_000_000)
                while not mine.socket.closed:
                    await mine.socket.receive()
            await asyncio.sleep(0.5)
            view = await record_of(whole)

        assert view.ended is not None
        assert view.ended.reason == "failed: event too large"

    run_over_sockets(main())
