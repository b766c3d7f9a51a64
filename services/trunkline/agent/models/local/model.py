"""The local model: from a request to the events of one round, without any state of its own.

What was asked of the caller, and what is already known, is read from the conversation; so it answers the same
after a failover.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import msgspec

from trunkline.agent.models.history import WITHHELD
from trunkline.agent.models.limit import limited
from trunkline.agent.models.local.choose import Choice, choose
from trunkline.agent.models.local.fill import fill
from trunkline.agent.models.local.parameters import ParameterNeed, Value, parameters_of
from trunkline.agent.models.local.say import (
    COMMENTARY,
    answer_for,
    no_tool_fits,
    question_for,
    shown_pictures,
    small_talk,
)
from trunkline.agent.models.seam import (
    HistoryItem,
    MessageItem,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
    ToolOffer,
    ToolOutputItem,
)
from trunkline.agents.control import FAREWELL, handed_over
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.image import ShownImage

READ_CHARACTERS = 2000  # of what the caller said last: a round must not hold up the other calls


class LocalModel:
    """Deterministic. No language model: it picks a tool by shared words and speaks in templates."""

    name = "local"
    repeatable = True

    def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        return limited(self._respond(request), request)

    async def _respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        for event in reply_to(request):
            yield event

    async def close(self) -> None:
        """Nothing to close."""


class _Intent(NamedTuple):
    """arguments: found so far. missing: the first required one that wasn't."""

    tool: ToolOffer
    arguments: dict[str, Value]
    missing: ParameterNeed | None


class _Asked(NamedTuple):
    """The question that the caller's words answer. earlier: what the caller had said before it."""

    tool: ToolOffer
    need: ParameterNeed
    earlier: str


def reply_to(request: ModelRequest) -> list[ModelEvent]:
    """A round: commentary and a tool call, or the final answer. A tool that must be used still needs its arguments from
    the caller, who is asked for them."""
    request = msgspec.structs.replace(request, tools=_choosable(request))
    utterance, outputs = _last_turn(request)
    shown = "" if outputs else shown_pictures(_pictures(request))
    if outputs and not (utterance and _must_choose(request)):
        return [TextDelta(answer_for(outputs), "final_answer"), RoundDone()]
    if utterance == WITHHELD:
        return [TextDelta(small_talk("hello"), "final_answer"), RoundDone()]
    intent = _intent(utterance, request)
    if intent is None:
        nothing_said = bool(shown) and not utterance.strip()
        fitting = "" if nothing_said else small_talk(utterance) or no_tool_fits(utterance, request.tools)
        return [TextDelta(_sentences(shown, fitting), "final_answer"), RoundDone()]
    if intent.missing is not None:
        return [TextDelta(_sentences(shown, question_for(intent.missing)), "final_answer"), RoundDone()]
    if FAREWELL in [need.name for need in parameters_of(intent.tool)]:
        farewell = msgspec.json.encode({FAREWELL: small_talk("goodbye")}).decode()
        return [ToolCall(new_tool_call_id(), intent.tool.name, farewell), RoundDone()]
    arguments = msgspec.json.encode(intent.arguments).decode()
    return [
        TextDelta(_sentences(shown, _commentary(intent)), "commentary"),
        ToolCall(new_tool_call_id(), intent.tool.name, arguments),
        RoundDone(),
    ]


def _last_turn(request: ModelRequest) -> tuple[str, list[ToolOutputItem]]:
    """What the caller said last, and what tools gave since this agent has the call; or what is news alone."""
    if news := [item for item in request.items if isinstance(item, ToolOutputItem) and item.id in request.news]:
        return "", news
    outputs: list[ToolOutputItem] = []
    handed_over_here = msgspec.json.encode(handed_over(request.agent)).decode()
    taken_over = False
    for item in reversed(request.items):
        if isinstance(item, ToolOutputItem):
            taken_over = taken_over or item.output == handed_over_here
            outputs[:0] = [] if taken_over else [item]
        elif isinstance(item, MessageItem) and item.role == "user":
            return item.text[-READ_CHARACTERS:], outputs
    return "", outputs


def _pictures(request: ModelRequest) -> Sequence[ShownImage]:
    """That the caller showed last."""
    messages = (item for item in reversed(request.items) if isinstance(item, MessageItem) and item.role == "user")
    newest = next(messages, None)
    return newest.images if newest is not None else ()


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _choosable(request: ModelRequest) -> tuple[ToolOffer, ...]:
    """The tools that the choice of tools leaves."""
    choice = request.settings.tool_choice
    if choice == "none":
        return ()
    return tuple(tool for tool in request.tools if choice in ("auto", "required", tool.name))


def _must_choose(request: ModelRequest) -> Choice | None:
    """The first tool, where one must be used whatever the words are."""
    must = request.settings.tool_choice != "auto" and bool(request.tools)
    return Choice(request.tools[0], 0.0, frozenset()) if must else None


def _intent(utterance: str, request: ModelRequest) -> _Intent | None:
    choice = choose(utterance, request.tools) or _must_choose(request)
    asked = _asked(request)
    if choice is None and (asked is None or small_talk(utterance)):
        return None
    if asked is not None and (choice is None or choice.tool == asked.tool):
        tool, matched = asked.tool, choice.matched if choice else frozenset[str]()
    else:
        assert choice is not None
        tool, matched, asked = choice.tool, choice.matched, None
    arguments: dict[str, Value] = {}
    missing: ParameterNeed | None = None
    for need in parameters_of(tool):
        value = _argument(need, utterance, matched, asked, request.items)
        if value is not None:
            arguments[need.name] = value
        elif need.required and missing is None:
            missing = need
    return _Intent(tool, arguments, missing)


def _argument(
    need: ParameterNeed, utterance: str, matched: frozenset[str], asked: _Asked | None, items: Sequence[HistoryItem]
) -> Value | None:
    answering = asked is not None and asked.need.name == need.name
    if not need.required and need.kind == "string" and not (need.values or need.pattern):
        return None  # any words would fit
    value = fill(need, utterance, matched, answering=answering)
    if value is None and asked is not None and not answering:
        choice = choose(asked.earlier, [asked.tool])
        value = fill(need, asked.earlier, choice.matched if choice else frozenset())
    if value is None and asked is None and need.required:
        value = _said_before(need.name, items)
    return value


def _said_before(name: str, items: Sequence[HistoryItem]) -> Value | None:
    """The argument of this name in the latest tool call that had one: "cancel that order"."""
    for item in reversed(items):
        if isinstance(item, ToolCallItem):
            try:
                arguments: object = msgspec.json.decode(item.arguments)
            except msgspec.MsgspecError:  # of a request: any text may stand there
                continue
            value = arguments.get(name) if isinstance(arguments, dict) else None
            if isinstance(value, str | int | float | bool):
                return value
    return None


def _asked(request: ModelRequest) -> _Asked | None:
    """The question for an argument that stands right before the caller's words, if the model had asked one."""
    messages = [item for item in request.items if isinstance(item, MessageItem) and item.role != "system"]
    while messages and messages[-1].role != "user":
        messages.pop()
    if len(messages) < 2 or messages[-2].role != "assistant":
        return None
    earlier = next((message.text[-READ_CHARACTERS:] for message in messages[-2::-1] if message.role == "user"), "")
    before = choose(earlier, request.tools)
    tools = [before.tool] if before else list(request.tools)
    for tool in tools:
        for need in parameters_of(tool):
            if messages[-2].text.endswith(question_for(need)):  # what was shown may be spoken of before it
                return _Asked(tool, need, earlier)
    return None


def _commentary(intent: _Intent) -> str:
    defaults = {need.name: need.default for need in parameters_of(intent.tool) if not need.required}
    try:
        return intent.tool.commentary.format(**defaults | intent.arguments) or COMMENTARY
    except (KeyError, IndexError, ValueError, TypeError):
        return COMMENTARY  # a value does not fit where the template wants it
