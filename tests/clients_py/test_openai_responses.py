"""`client.responses` and `client.models` of the package `openai`, and the Agents SDK's runner, unchanged, against all
services."""

import asyncio
import base64
import os
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

from agents import Agent, Runner, function_tool, set_default_openai_client
from agents.voice import SingleAgentVoiceWorkflow

from clients_py.scene import Desk
from support.virtual import run_over_sockets
from trunkline.agent.models.scripted import Call, Fail, Script, Wait, Words
from trunkline.agent.models.seam import MessageItem, ToolCallItem, ToolOutputItem

pytestmark = pytest.mark.clients

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "name": "get_weather", "description": "…", "parameters": CITY, "strict": True}
ASKS: Script = [
    [
        [Words("One moment. ", "commentary"), Call("get_weather", {"city": msgspec.Raw(b'"{words}"')})],
        [Words("It rains.", "final_answer")],
    ]
]
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "page-phone-dark.png"


def test_a_response_is_made_read_listed_and_deleted() -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            made = await client.responses.create(model="gpt-5.5", input="Hello", instructions="Be brief.")
            again = await client.responses.retrieve(made.id)
            items = await client.responses.input_items.list(made.id)
            await client.responses.delete(made.id)

            assert (made.status, made.output_text) == ("completed", "You said Hello.")
            assert made.output[0].phase == "final_answer"  # type: ignore[union-attr]
            assert again == made
            assert [item.content[0].text for item in items.data] == ["Hello"]  # type: ignore[union-attr]
            assert desk.asked.requests[0].instructions == "Be brief."
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(made.id)

    run_over_sockets(main())


def test_a_stream_is_followed_by_the_vendors_parser() -> None:
    async def main() -> None:
        async with Desk(ASKS) as desk, desk.client as client:
            kinds: list[str] = []
            async with client.responses.stream(model="gpt-5.5", input="Oslo", tools=[TOOL]) as stream:
                async for event in stream:
                    kinds.append(event.type)
                final = await stream.get_final_response()

            message, function = final.output
            assert (message.type, function.type) == ("message", "function_call")
            assert message.phase == "commentary"
            assert function.parsed_arguments == {"city": "Oslo"}
            assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
            assert kinds[-1] == "response.completed"

    run_over_sockets(main())


def test_a_tool_makes_its_round_trip_from_the_response_before() -> None:
    async def main() -> None:
        async with Desk(ASKS) as desk, desk.client as client:
            first = await client.responses.create(model="gpt-5.5", input="Oslo", tools=[TOOL])
            (call,) = [item for item in first.output if item.type == "function_call"]
            output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
            second = await client.responses.create(
                model="gpt-5.5", input=[output], previous_response_id=first.id, tools=[TOOL]
            )

            assert second.output_text == "It rains."
            told = desk.asked.requests[-1].items
            assert told == (
                MessageItem("user", None, "Oslo"),
                MessageItem("assistant", "commentary", "One moment. "),
                ToolCallItem(call.call_id, "get_weather", '{"city":"Oslo"}'),
                ToolOutputItem(call.call_id, "rain", "ok"),
            )

    run_over_sockets(main())


def test_a_picture_reaches_the_model_with_its_detail() -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            url = "data:image/png;base64," + base64.b64encode(PICTURE.read_bytes()).decode()
            content: Any = [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": url, "detail": "original"},
            ]
            await client.responses.create(model="gpt-5.5", input=[{"role": "user", "content": content}])

            (item,) = desk.asked.requests[0].items
            assert isinstance(item, MessageItem)
            (image,) = item.images
            assert (image.at, image.detail, image.media_type) == (13, "original", "image/png")
            assert await desk.files.get(image.file) == PICTURE.read_bytes()

    run_over_sockets(main())


def test_errors_are_the_vendors_exceptions() -> None:
    async def main() -> None:
        async with Desk([[[Fail("out of order")]]]) as desk, desk.client as client:
            with pytest.raises(openai.BadRequestError) as unknown:
                await client.responses.create(model="gpt-5.5", input="x", previous_response_id="resp_x")
            with pytest.raises(openai.NotFoundError) as model:
                await client.responses.create(model="gpt-unheard-of", input="x")
            with pytest.raises(openai.BadRequestError) as agent:
                await client.responses.create(model="desk", input="x")
            with pytest.raises(openai.AuthenticationError):
                await client.with_options(api_key="sk-wrong").responses.create(model="gpt-5.5", input="x")
            with pytest.raises(openai.InternalServerError):
                await client.responses.create(model="gpt-5.5", input="x")

            assert (unknown.value.code, unknown.value.param) == ("previous_response_not_found", "previous_response_id")
            assert (model.value.code, model.value.param) == ("model_not_found", "model")
            assert "agents answer on calls" in agent.value.message

    run_over_sockets(main())


def test_the_models_are_listed_and_read() -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            listed = await client.models.list()
            one = await client.models.retrieve("gpt-5.5")
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve("gpt-unheard-of")

            assert {"desk", "night", "gpt-5.5", "gpt-realtime"} <= {model.id for model in listed.data}
            assert (one.id, one.object) == ("gpt-5.5", "model")

    run_over_sockets(main())


def test_a_client_that_closes_its_stream_stops_the_model() -> None:
    endless: Script = [[[*[Words("a "), Wait(1.0)] * 1000]]]

    async def main() -> None:
        async with Desk(endless) as desk, desk.client as client:
            stream = await client.responses.create(model="gpt-5.5", input="x", stream=True)
            async for event in stream:
                if event.type == "response.output_text.delta":
                    break
            running = desk.asked.running
            await stream.close()
            await asyncio.sleep(1.0)

            assert (running, desk.asked.running) == (1, 0)

    run_over_sockets(main())


# the Agents SDK

asked_for: list[str] = []


@function_tool
def get_weather(city: str) -> str:
    """Get the weather for a given city."""
    asked_for.append(city)
    return "rain"


def assistant(desk: Desk) -> Agent[None]:
    """As the guide has it: the model and its settings are the SDK's own."""
    set_default_openai_client(desk.client, use_for_tracing=False)
    return Agent("Assistant", instructions="Be brief.", tools=[get_weather])


@pytest.mark.parametrize("streamed", [False, True])
def test_the_agents_runner_runs_its_tool_and_sends_the_phases_back(streamed: bool) -> None:
    async def main() -> None:
        asked_for.clear()
        async with Desk(ASKS) as desk:
            agent = assistant(desk)
            if streamed:
                streaming = Runner.run_streamed(agent, "Oslo")
                async for _ in streaming.stream_events():
                    pass
                result: Any = streaming
            else:
                result = await Runner.run(agent, "Oslo")
            again = await Runner.run(agent, [*result.to_input_list(), {"role": "user", "content": ""}])

            assert (result.final_output, asked_for[0]) == ("It rains.", "Oslo")
            assert again.final_output == "It rains."
            told = desk.asked.requests[1].items
            assert [getattr(item, "phase", None) for item in told] == [None, "commentary", None, None]
            last = desk.asked.requests[-1].items
            assert [item.phase for item in last if isinstance(item, MessageItem) and item.role == "assistant"][:2] == [
                "commentary",
                "final_answer",
            ]
            assert desk.asked.requests[0].settings.reasoning_effort == "none"
            assert desk.asked.requests[0].settings.verbosity == "low"

    run_over_sockets(main())


def test_the_voice_workflow_speaks_what_it_is_streamed() -> None:
    async def main() -> None:
        asked_for.clear()
        async with Desk(ASKS) as desk:
            workflow = SingleAgentVoiceWorkflow(assistant(desk))
            said = [text async for text in workflow.run("Oslo")]
            silence = [text async for text in workflow.run("")]

            assert "".join(said) == "One moment. It rains."
            assert silence
            assert asked_for[0] == "Oslo"

    run_over_sockets(main())
