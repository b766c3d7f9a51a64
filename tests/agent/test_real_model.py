"""Both engines against a server and a model that nobody here wrote: llama.cpp with SmolLM2, in real time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest

from support import llm_server
from support.llm_server import LlmServer
from trunkline.agent.models.choose import choose
from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.agent.models.seam import (
    HistoryItem,
    MessageItem,
    Model,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
    ToolOffer,
    ToolOutputItem,
)
from trunkline.agent.settings import AgentSettings
from trunkline.agents import ModelSettings

pytestmark = [pytest.mark.llm, pytest.mark.skipif(bool(llm_server.missing()), reason=llm_server.missing())]
ENGINES = ["chat", "responses"]
STORY = MessageItem("user", None, "Tell me a very long story about a lighthouse, with many chapters.")
LOOKUP = ToolOffer("lookup", "Where is my order.", {"type": "object", "properties": {"order": {"type": "string"}}})
FREED_LIMIT_S = 3.0  # the server looks now and then whether its client is there


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlmServer]:
    with llm_server.running(tmp_path_factory.mktemp("llm") / "server.log") as running:
        yield running


@asynccontextmanager
async def asking(server: LlmServer, engine: str) -> AsyncGenerator[Model, None]:
    model = choose(AgentSettings(engine_model=engine, model_url=server.url, model_name=llm_server.MODEL))
    try:
        yield model
    finally:
        await model.close()


def request(*items: HistoryItem, tools: tuple[ToolOffer, ...] = (), tokens: int = 60) -> ModelRequest:
    settings = ModelSettings(temperature=0.0, max_output_tokens=tokens)
    return ModelRequest("You answer the phone of a shop. Be brief.", items, tools, "rtc_00_a", "", settings, "desk")


async def timed(model: Model, asked: ModelRequest) -> list[tuple[float, ModelEvent]]:
    """Events with seconds since the request."""
    began_s = time.monotonic()
    return [(time.monotonic() - began_s, event) async for event in model.respond(asked)]


def ask(server: LlmServer, engine: str, asked: ModelRequest) -> list[tuple[float, ModelEvent]]:
    async def main() -> list[tuple[float, ModelEvent]]:
        async with asking(server, engine) as model:
            return await timed(model, asked)

    return asyncio.run(main())


@pytest.mark.parametrize("engine", ENGINES)
def test_words_stream_while_the_model_makes_them_and_are_counted(server: LlmServer, engine: str) -> None:
    events = ask(server, engine, request(STORY, tokens=60))
    deltas = [(at_s, event) for at_s, event in events if isinstance(event, TextDelta)]
    (done,) = (event for _, event in events if isinstance(event, RoundDone))
    first_s, last_s = deltas[0][0], deltas[-1][0]

    print(
        f"{engine}: first token after {first_s:.3f} s, {len(deltas) / max(last_s - first_s, 1e-6):.0f} deltas a second,"
        f" {done.output_tokens} tokens; the server has {server.rss_mb():.0f} MB"
    )
    assert len(deltas) > 20
    assert first_s < last_s / 2
    assert done.output_tokens == 60
    assert done.input_tokens > 10
    assert done.incomplete == ("max_output_tokens" if engine == "chat" else "")  # this server tells it there alone
    assert done.model == llm_server.MODEL


@pytest.mark.parametrize("engine", ENGINES)
def test_a_round_that_is_closed_ends_at_the_server(server: LlmServer, engine: str) -> None:
    cancelled = server.cancelled()

    async def main() -> tuple[int, int, float]:
        before = server.predicted()
        async with asking(server, engine) as model:
            async with aclosing(model.respond(request(STORY, tokens=3000))) as stream:
                await anext(stream)
                busy = await asyncio.to_thread(server.busy)
            closed_s = time.monotonic()
            while await asyncio.to_thread(server.busy) and time.monotonic() < closed_s + 10.0:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.02)
            return busy, server.predicted() - before, time.monotonic() - closed_s

    busy, predicted, freed_s = asyncio.run(main())

    print(f"{engine}: the slot was free {freed_s:.3f} s after the round was closed, {predicted} tokens were made")
    assert busy == 1
    assert freed_s < FREED_LIMIT_S
    assert predicted < 1000
    assert server.cancelled() == cancelled + 1


@pytest.mark.parametrize("engine", ENGINES)
def test_tools_and_a_history_with_phases_break_nothing(server: LlmServer, engine: str) -> None:
    history = (
        MessageItem("assistant", "final_answer", "Hello! What can I do for you?"),
        MessageItem("user", None, "Where is my order 4?"),
        MessageItem("assistant", "commentary", "One moment, please."),
        ToolCallItem("call_1", "lookup", '{"order":"4"}'),
        ToolOutputItem("call_1", '"It arrives tomorrow."', "ok"),
        MessageItem("assistant", "final_answer", "It arrives tomorrow."),
        MessageItem("user", None, "And order 5?"),
        ToolCallItem("call_2", "lookup", '{"order":"5"}'),
        ToolOutputItem("call_2", '"It was lost."', "ok"),
    )
    events = [event for _, event in ask(server, engine, request(*history, tools=(LOOKUP,)))]

    assert any(isinstance(event, TextDelta | ToolCall) for event in events)
    assert isinstance(events[-1], RoundDone)


def test_two_rounds_at_a_time_are_answered_each_for_itself(server: LlmServer) -> None:
    async def main() -> list[list[tuple[float, ModelEvent]]]:
        async with asking(server, "chat") as model:
            return await asyncio.gather(timed(model, request(STORY)), timed(model, request(STORY)))

    first, second = asyncio.run(main())

    assert first[0][0] < second[-1][0]
    assert second[0][0] < first[-1][0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_conversation_that_is_too_long_for_the_model_says_so(server: LlmServer, engine: str) -> None:
    with pytest.raises(EndpointFailed) as failed:
        ask(server, engine, request(MessageItem("user", None, "word " * 20_000)))

    print(failed.value)
    assert failed.value.status == 400
    assert "context" in str(failed.value)
