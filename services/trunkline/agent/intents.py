"""From what a model wants of a tool to what is recorded of it: looked up, read, judged. Nothing runs here."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from trunkline.agent.conversation import Conversation
from trunkline.agent.models.seam import ToolCall
from trunkline.agent.rulings import Bench, Ruled
from trunkline.agents import Tool
from trunkline.agents.sensitive import TOKEN
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import is_id, new_tool_call_id
from trunkline.proto.record import Event
from trunkline.proto.tool import ToolStatus

ARGUMENTS_LIMIT_BYTES = 64 * 1024
NAME_CHARACTERS = 64  # of a name that a model made up
KEY_CHARACTERS = 64  # of an id that a model made up; the subjects of further attempts are a little longer


class Intent(NamedTuple):
    """refusal: why it runs nowhere, in words that the model reads, with the outcome that is recorded; "" if it may.

    arguments: exactly what runs. given: the same, read. ruled: policy's word, where it ends the response.
    verdicts: that denied it, to be recorded with it.
    """

    key: str
    name: str
    tool: Tool | None
    arguments: str
    given: Mapping[str, Any]
    refusal: str = ""
    status: ToolStatus = "error"
    ruled: Ruled | None = None
    verdicts: tuple[Event, ...] = ()


def told_apart(calls: Sequence[ToolCall]) -> list[ToolCall]:
    """Each with an id of its own, whatever the model gave them."""
    ids = [call.id for call in calls]
    return [
        call if call.id not in ids[:at] else ToolCall("", call.name, call.arguments) for at, call in enumerate(calls)
    ]


async def intend(call: ToolCall, conversation: Conversation, bench: Bench) -> Intent:
    """Asks policy, so it may take a while; what it rewrites takes the place of the model's arguments."""
    intent = read(call, conversation)
    if intent.refusal or not bench.looks("tool_arguments", intent.name):
        return intent
    try:
        arguments = await bench.judge(
            "tool_arguments", intent.key, intent.arguments, tool=intent.name, arguments=intent.given
        )
    except Ruled as ruled:
        refusal, ends = ruled.ruling.reply, _that_ends(ruled)
        return intent._replace(refusal=refusal, status="denied", ruled=ends, verdicts=ruled.events)
    if arguments == intent.arguments:
        return intent
    again = read(ToolCall(intent.key, intent.name, arguments), conversation)
    return again._replace(key=intent.key)


def read(call: ToolCall, conversation: Conversation) -> Intent:
    """Without policy's word."""
    usable = is_id(call.id) and len(call.id) <= KEY_CHARACTERS and call.id not in conversation.view.tools
    key = call.id if usable else new_tool_call_id()
    name = call.name[:NAME_CHARACTERS]
    tool = conversation.tool(call.name) if conversation.offers(call.name) else None
    if tool is None:
        allowed = ", ".join(tool.name for tool in conversation.tools) or "none"
        return Intent(key, name, None, "{}", {}, f"There is no tool {name!r}; allowed: {allowed}.")
    try:
        arguments = call.arguments.encode()
        if len(arguments) > ARGUMENTS_LIMIT_BYTES:
            return Intent(key, name, tool, "{}", {}, _too_long())
        given = msgspec.json.decode(arguments, type=dict[str, object])
        if tool.runs == "agent" or (tool.approval is not None and not TOKEN.search(call.arguments)):
            tool.signature.decode(call.arguments)  # nobody is asked about what can't run
    except BadInput as error:
        return Intent(key, name, tool, "{}", {}, f"The arguments of {name} don't fit. {error}")
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        refusal = f"The arguments can't be read ({error}); allowed: a JSON object."
        return Intent(key, name, tool, "{}", {}, refusal)
    return Intent(key, name, tool, call.arguments, given)


def not_run(intent: Intent, why: str) -> Intent:
    return intent if intent.refusal else intent._replace(refusal=f"This was not run: {why}", status="cancelled")


def _too_long() -> str:
    return f"The arguments are too long; allowed: {ARGUMENTS_LIMIT_BYTES} bytes of JSON."


def _that_ends(ruled: Ruled) -> Ruled | None:
    """Its events are recorded with the refusal: they aren't carried on."""
    return Ruled(ruled.ruling) if ruled.ruling.action in ("hand_off", "end") else None
