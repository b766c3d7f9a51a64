"""What the model may read of a tool's result: past redaction and policy, before any of it is recorded."""

from collections.abc import Callable

import msgspec

from trunkline.agent.conversation import Conversation
from trunkline.agent.own_tools import arguments_of
from trunkline.agent.rulings import Bench, Ruled
from trunkline.proto.record import ToolFinished
from trunkline.proto.tool import ToolResult

Redact = Callable[[str], str]


def finished(result: ToolResult, at_us: int, redact: Redact) -> ToolFinished:
    return ToolFinished(
        at_us,
        result.tool_call,
        result.status,
        redact(result.output),
        result.runner,
        result.elapsed_ms,
        result.state_patch,
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
