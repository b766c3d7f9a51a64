"""The SDK's function tools in a tool runner: guardrails, failures, timeouts and texts as in the SDK's own run."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from agents import (
    Agent,
    FunctionTool,
    RunContextWrapper,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrailData,
    ToolOutputGuardrailData,
    ToolOutputImage,
    ToolOutputText,
    function_tool,
    tool_input_guardrail,
    tool_output_guardrail,
)
from agents.tool_context import ToolContext as SdkContext
from pydantic import BaseModel

from agents_sdk.referee import Call, Say, outputs, run
from support.virtual import run_virtual
from tool_runner.desk import Desk, an_order, words
from trunkline.agents.sdk.shared import Shared
from trunkline.agents.sdk.tools import tool_of
from trunkline.proto.tool import ToolResult


class Point(BaseModel):
    x: int = 0


@tool_input_guardrail
def no_secrets(data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
    if "secret" in data.context.tool_arguments:
        return ToolGuardrailFunctionOutput.reject_content("Not with a secret.")
    if "alarm" in data.context.tool_arguments:
        return ToolGuardrailFunctionOutput.raise_exception("alarm")
    return ToolGuardrailFunctionOutput.allow()


@tool_output_guardrail
async def no_numbers(data: ToolOutputGuardrailData) -> ToolGuardrailFunctionOutput:
    if "7" in str(data.output):
        return ToolGuardrailFunctionOutput.reject_content(f"{data.agent.name} keeps that to itself.")
    return ToolGuardrailFunctionOutput.allow()


@function_tool(tool_input_guardrails=[no_secrets], tool_output_guardrails=[no_numbers])
def guarded(text: str) -> str:
    """Echo."""
    return text


@function_tool
async def dictionary(point: Point, names: list[str] | None = None) -> dict[str, Any]:
    """A dict."""
    return {"point": point, "names": names}


@function_tool
def number(x: float) -> float:
    """A number."""
    return x


@function_tool
def nothing() -> None:
    """Nothing."""


@function_tool
def parts() -> list[ToolOutputText]:
    """Parts."""
    return [ToolOutputText(text="one"), ToolOutputText(text="two")]


@function_tool
def broken(text: str) -> str:
    """Raises."""
    raise ValueError(text)


@function_tool(failure_error_function=lambda context, error: f"It did not work: {error}")
def explained(text: str) -> str:
    """Raises, and says why."""
    raise ValueError(text)


@function_tool(timeout=0.5)
async def slow(seconds: float) -> str:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return "done"


async def invoke(context: SdkContext[Any], arguments: str) -> str:
    return f"{context.tool_name} {context.tool_call_id} {context.tool_arguments} {arguments}"


by_hand = FunctionTool("by_hand", "Says what it got.", {"type": "object", "properties": {}}, invoke)
ALL = [guarded, dictionary, number, nothing, parts, broken, explained, slow, by_hand]


async def on_the_desk(tool: FunctionTool, arguments: str, context: object = None, state: str = "{}") -> ToolResult:
    agent = Agent("Desk", tools=[tool])
    desk = Desk([tool_of(tool, agent, Shared(context))])
    desk.send(an_order(tool.name, arguments, state=state))
    return await desk.result()


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (guarded, '{"text": "fine"}'),
        (guarded, '{"text": "a secret"}'),
        (guarded, '{"text": "7"}'),
        (guarded, '{"text": 5}'),
        (guarded, "no JSON"),
        (guarded, "{}"),
        (dictionary, '{"point": {"x": 5}, "names": ["a"]}'),
        (dictionary, '{"point": {"x": "5"}, "names": null}'),
        (dictionary, '{"point": {"y": 5}}'),
        (number, '{"x": 1e3}'),
        (number, '{ "x" : 0.1 }'),
        (nothing, "{}"),
        (nothing, ""),
        (parts, "{}"),
        (broken, '{"text": "no"}'),
        (explained, '{"text": "no"}'),
        (slow, '{"seconds": 0.1}'),
        (slow, '{"seconds": 5}'),
        (by_hand, '{"any": [1,  2]}'),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_model_reads_what_it_would_read_of_the_sdks_runner(tool: FunctionTool, arguments: str) -> None:
    call = Call("call_1", tool.name, arguments)
    _, model = run_virtual(run(Agent("Desk", tools=list(ALL)), "Go.", [[call], [Say("Done.")]]))

    result = asyncio.run(on_the_desk(tool, arguments))

    assert result.status == "ok"
    told = outputs(model)["call_1"]
    assert words(result) == (told if isinstance(told, str) else "\n".join(part["text"] for part in told))


def test_where_the_sdks_run_would_fail_the_tool_has_failed() -> None:
    @function_tool(failure_error_function=None)
    def fails(text: str) -> str:
        """Fails."""
        raise ValueError(text)

    results = [
        asyncio.run(on_the_desk(fails, '{"text": "no"}')),
        asyncio.run(on_the_desk(guarded, '{"text": "alarm"}')),
    ]

    assert [result.status for result in results] == ["error", "error"]
    assert words(results[0]) == "fails failed: ValueError: no"


def test_a_picture_is_nothing_that_a_call_can_use() -> None:
    @function_tool
    def picture() -> ToolOutputImage:
        """A picture."""
        return ToolOutputImage(image_url="https://example.com/a.png")

    result = asyncio.run(on_the_desk(picture, "{}"))

    assert (result.status, "a call takes text" in result.output) == ("error", True)


def test_a_plain_function_runs_in_the_thread_that_the_runner_gave_it() -> None:
    seen: list[str] = []

    @function_tool
    def where() -> str:
        """Where am I."""
        seen.append(threading.current_thread().name)
        return "here"

    asyncio.run(on_the_desk(where, "{}"))

    assert seen == ["tool-where"]


def test_an_asynchronous_function_runs_on_the_runners_loop() -> None:
    seen: list[object] = []

    @function_tool
    async def where() -> str:
        """Where am I."""
        seen.append(asyncio.get_running_loop())
        return "here"

    async def scene() -> bool:
        await on_the_desk(where, "{}")
        return seen == [asyncio.get_running_loop()]

    assert run_virtual(scene())


@pytest.mark.parametrize("enabled", [True, False])
def test_a_tool_that_is_not_enabled_in_this_call_does_not_run(enabled: bool) -> None:
    ran: list[bool] = []

    async def is_enabled(context: RunContextWrapper[Any], agent: Any) -> bool:
        return bool(context.context["open"])

    @function_tool(is_enabled=is_enabled)
    def look() -> str:
        """Look."""
        ran.append(True)
        return "seen"

    result = asyncio.run(on_the_desk(look, "{}", {"open": enabled}))

    assert (result.status, ran) == (("ok", [True]) if enabled else ("error", []))


def test_a_tool_finds_its_call_in_its_context() -> None:
    seen: list[Any] = []

    @function_tool
    def look(context: SdkContext[dict[str, int]], place: str) -> str:
        """Look."""
        seen.append((context.tool_call_id, context.tool_arguments, context.tool_call, context.agent, context.context))
        return "seen"

    asyncio.run(on_the_desk(look, '{"place":  "here"}', {"n": 0}, '{"context": {"n": 5}}'))

    ((call_id, arguments, call, agent, context),) = seen
    assert (call_id, arguments, agent.name, context) == ("call_1", '{"place":  "here"}', "Desk", {"n": 5})
    assert (call.call_id, call.name, call.arguments) == ("call_1", "look", arguments)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_what_a_tool_leaves_in_the_context_is_recorded_unless_it_fails(asynchronous: bool) -> None:
    def change(context: RunContextWrapper[dict[str, int]], fail: bool) -> str:
        """Change."""
        context.context["n"] += 1
        if fail:
            raise ValueError("no")
        return "changed"

    async def change_later(context: RunContextWrapper[dict[str, int]], fail: bool) -> str:
        """Change."""
        return change(context, fail)

    function: Callable[..., Any] = change_later if asynchronous else change
    tool = function_tool(function, failure_error_function=None)

    patches = [
        asyncio.run(on_the_desk(tool, '{"fail": false}', {"n": 1})).state_patch,
        asyncio.run(on_the_desk(tool, '{"fail": true}', {"n": 1})).state_patch,
    ]

    assert patches == ['{"context":{"n":2}}', "{}"]


def test_a_context_that_json_cannot_hold_any_more_fails_the_tool() -> None:
    @function_tool
    def spoil(context: RunContextWrapper[dict[str, object]]) -> str:
        """Spoil."""
        context.context["lock"] = threading.Lock()
        return "done"

    result = asyncio.run(on_the_desk(spoil, "{}", {}))

    assert result.status == "error"
    assert "context: holds what can't be serialised" in words(result)
