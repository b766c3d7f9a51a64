"""What the model may read of a tool's result: past redaction and policy, before any of it is recorded."""

from collections.abc import Callable

import msgspec
from prometheus_client import Counter

from trunkline.agent.conversation import Conversation
from trunkline.agent.own_tools import arguments_of
from trunkline.agent.rulings import Bench, Ruled
from trunkline.proto.record import ToolFinished
from trunkline.proto.tool import ToolResult
from trunkline.telemetry import logs

Redact = Callable[[str], str]
_outcomes = Counter("trunkline_agent_tool_outcomes_total", "Tool calls with their outcome", ["status"])
_late = Counter("trunkline_agent_late_results_total", "Results of tool calls that were recorded as unknown")
log = logs.get(__name__)


def note(tool: str, result: ToolResult, *, late: bool = False) -> None:
    """Counts and logs an outcome. late: it was recorded as unknown before."""
    if late:
        _late.inc()
    else:
        _outcomes.labels(result.status).inc()
    told = "tool finished late" if late else "tool finished"
    log.info(told, tool=tool, status=result.status, elapsed_ms=round(result.elapsed_ms, 1))


def finished(result: ToolResult, at_us: int, redact: Redact, item: str = "") -> ToolFinished:
    """item: the client's, of an outcome that it told."""
    return ToolFinished(
        at_us,
        result.tool_call,
        result.status,
        redact(result.output),
        result.runner,
        result.elapsed_ms,
        result.state_patch,
        item,
    )


async def admitted(result: ToolResult, conversation: Conversation, bench: Bench, redact: Redact) -> ToolResult:
    """The result as it is recorded. What policy blocks is replaced by its reply: the tool has run all the same."""
    tool = conversation.view.tools[result.tool_call]
    output = redact(result.output)
    if not bench.looks("tool_result", tool.name):
        return msgspec.structs.replace(result, output=output)
    try:
        output = await bench.judge(
            "tool_result", result.tool_call, output, tool=tool.name, arguments=arguments_of(tool)
        )
    except Ruled as ruled:
        conversation.append(*ruled.events)
        output = msgspec.json.encode(ruled.ruling.reply).decode()
    return msgspec.structs.replace(result, output=output)
