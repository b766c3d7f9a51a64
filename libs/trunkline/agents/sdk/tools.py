"""Function tools of the SDK as tools: a runner calls them as the SDK would, with its guardrails and failure messages.

The arguments reach the SDK as the text that is recorded; what comes back is the text that the SDK would send.
"""

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
from agents import (
    FunctionTool,
    Handoff,
    ItemHelpers,
    RunContextWrapper,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
)
from agents.agent import AgentBase
from agents.tool import get_function_tool_responses_only_features, invoke_function_tool
from agents.tool_context import ToolContext as SdkContext
from agents.tool_guardrails import ToolInputGuardrailData, ToolOutputGuardrailData
from agents.util._approvals import evaluate_function_tool_approval
from openai.types.responses import ResponseFunctionToolCall

from trunkline.agents.approval import Approval
from trunkline.agents.call import CallContext
from trunkline.agents.context import ToolContext
from trunkline.agents.schema import GivenSchema
from trunkline.agents.sdk.shared import Shared
from trunkline.agents.tool import TIMEOUT_LIMIT_S, Tool
from trunkline.proto.errors import BadInput

TIMEOUT_S = 60.0  # of a tool whose author set none: the SDK waits for ever, a caller doesn't
GRACE_S = 1.0  # a tool's own timeout is told in the SDK's words, so it comes before the runner's
DENIED = "Tool execution was not approved."  # the SDK's words for it
ALLOWED = "functions decorated with @function_tool, tools of trunkline.agents"
SYNC_MARK = "__agents_sync_function_tool__"

T = TypeVar("T")
log = logging.getLogger(__name__)


class SdkTool(Tool):
    """Its function takes the run's context and the arguments as text."""

    __slots__ = ()

    def bind(self, arguments: str, context: ToolContext) -> Callable[[], object]:
        """arguments: as the model wrote them; whether they fit, and what it is told if not, is the SDK's to say."""
        return functools.partial(self.function, context, arguments)


def tool_of(given: object, agent: AgentBase[Any], shared: Shared) -> Tool:
    """agent: who has it, in the SDK's eyes. Raises BadInput for a tool that can't run here."""
    if isinstance(given, Tool):
        return given
    where = f"{agent.name}: tools"
    if not isinstance(given, FunctionTool):
        name = getattr(given, "name", type(given).__name__)
        raise BadInput(where, f"{name} ({type(given).__name__}) runs at OpenAI or needs the SDK's runner", ALLOWED)
    if given._is_agent_tool:
        raise BadInput(where, f"{given.name} runs another agent in the SDK's own runner", f"handoffs; {ALLOWED}")
    if features := get_function_tool_responses_only_features(given):
        raise BadInput(where, f"{given.name} uses {', '.join(features)}", ALLOWED)
    if given.custom_data_extractor is not None:
        log.warning("%s: custom_data_extractor of %s is not asked here", agent.name, given.name)
    in_thread = getattr(given.on_invoke_tool, SYNC_MARK, False)
    timeout_s = TIMEOUT_S if given.timeout_seconds is None else given.timeout_seconds + GRACE_S
    return SdkTool(
        name=given.name,
        description=given.description,
        function=functools.partial(_run_in_thread if in_thread else _run, given, agent, shared),
        signature=GivenSchema(given.name, given.params_json_schema),
        timeout_s=min(timeout_s, TIMEOUT_LIMIT_S),
        asynchronous=not in_thread,
        approval=_approval_of(given, shared),
        enabled=functools.partial(is_enabled, given, agent, shared) if callable(given.is_enabled) else None,
    )


def offered(given: object) -> bool:
    return not (isinstance(given, FunctionTool) and given.is_enabled is False)


# a run, in a tool runner


async def _run(given: FunctionTool, agent: AgentBase[Any], shared: Shared, context: ToolContext, text: str) -> str:
    call = ResponseFunctionToolCall(
        type="function_call", name=given.name, call_id=context.idempotency_key, arguments=text
    )
    inner: SdkContext[Any] = SdkContext(
        shared.load(context.state),
        tool_name=given.name,
        tool_call_id=call.call_id,
        tool_arguments=text,
        tool_call=call,
        agent=agent,
    )
    output = await _guarded(given, agent, inner, text)
    shared.save(inner.context, context.state)
    return _as_text(call, output)


def _run_in_thread(given: FunctionTool, agent: AgentBase[Any], shared: Shared, context: ToolContext, text: str) -> str:
    """Of a plain function: the SDK puts it into a thread of a pool. Here it already has a thread, which the runner
    counts and can give up, so it runs in that one, on a loop of its own."""
    return in_this_thread(_run(given, agent, shared, context, text))


def in_this_thread(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner() as loop:
        loop.get_loop().set_default_executor(_Here())
        return loop.run(work)


class _Here(ThreadPoolExecutor):
    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # a rim: handed on to whoever waits for it
            future.set_exception(error)
        return future


async def _guarded(given: FunctionTool, agent: AgentBase[Any], inner: SdkContext[Any], text: str) -> Any:
    """In the order of the SDK: is it enabled, may it run with this, the run, may this be told."""
    if not await _enabled(given, agent, inner):
        raise LookupError(f"{given.name} is not available in this call at present.")
    for before in given.tool_input_guardrails or ():
        said = await before.run(ToolInputGuardrailData(context=inner, agent=agent))  # type: ignore[arg-type]  # or a RealtimeAgent
        match said.behavior:
            case {"type": "reject_content", "message": str(message)}:
                return message
            case {"type": "raise_exception"}:
                raise ToolInputGuardrailTripwireTriggered(before, said)
    output = await invoke_function_tool(function_tool=given, context=inner, arguments=text)
    for after in given.tool_output_guardrails or ():
        said = await after.run(ToolOutputGuardrailData(context=inner, agent=agent, output=output))  # type: ignore[arg-type]
        match said.behavior:
            case {"type": "reject_content", "message": str(message)}:
                return message
            case {"type": "raise_exception"}:
                raise ToolOutputGuardrailTripwireTriggered(after, said)
    return output


async def _enabled(
    given: FunctionTool | Handoff[Any, Any], agent: AgentBase[Any], inner: RunContextWrapper[Any]
) -> bool:
    if isinstance(given.is_enabled, bool):
        return given.is_enabled
    answer = given.is_enabled(inner, agent)
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _as_text(call: ResponseFunctionToolCall, output: Any) -> str:
    """Raises TypeError for pictures and files: nothing of them can be said."""
    sent = ItemHelpers.tool_call_output_item(call, output)["output"]
    if isinstance(sent, str):
        return sent
    parts = [part["text"] for part in sent if part["type"] == "input_text"]
    if len(parts) < len(sent):
        raise TypeError(f"{call.name} returned a picture or a file; a call takes text")
    return "\n".join(parts)


# conditions, at the agent: those of the SDK are asynchronous, ours aren't, so each is run as far as it goes at once


def is_enabled(
    given: FunctionTool | Handoff[Any, Any], agent: AgentBase[Any], shared: Shared, call: CallContext
) -> bool:
    """One that would wait is offered: a tool asks again as it runs."""
    return _at_once(_enabled(given, agent, shared.wrapped(call.state))) is not False


def _approval_of(given: FunctionTool, shared: Shared) -> Approval | None:
    if callable(given.needs_approval):
        return Approval(when=functools.partial(_asks, given, shared), denied=DENIED)
    return Approval(denied=DENIED) if given.needs_approval else None


def _asks(given: FunctionTool, shared: Shared, call: CallContext, arguments: Mapping[str, Any]) -> bool:
    """One that would wait asks a person."""
    text = msgspec.json.encode(dict(arguments)).decode()
    said = _at_once(evaluate_function_tool_approval(given, shared.wrapped(call.state), text, ""))
    if said is None:
        log.warning("needs_approval of %s waits for something, so a person is asked", given.name)
    return said is None or said.outcome != "invoke"


def _at_once(work: Coroutine[Any, Any, T]) -> T | None:
    """None for one that has to wait."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    return None
