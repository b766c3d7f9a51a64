"""A model whose answer depends on nothing but the caller's last words and the plan of the history."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from sim.acts import GOLD, LEAD, SECRET, act_of
from sim.history import TurnPlan
from sim.sound import number_in
from trunkline.agent.models.seam import (
    MessageItem,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
    ToolOutputItem,
)
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.response import Phase
from trunkline.proto.tool import ToolStatus

DONE = "done"  # what is said of a tool only once it has run
PONDERED_S = 0.4
PIECE_LETTERS = 24  # of a text that stream in together


class SimModel:
    name = "sim"

    def __init__(self, turns: Mapping[int, TurnPlan], *, repeatable: bool) -> None:
        """repeatable: it says the same when it is asked the same."""
        self.repeatable = repeatable
        self._turns = turns
        self._asked = 0

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self._asked += 1
        words, tools = _where(request)
        number = number_in(words)
        plan = self._turns.get(number)
        act = act_of(number)
        await asyncio.sleep(PONDERED_S if act == "pondered" and not tools else 0.01)
        if request.news:
            done = [item for item in request.items if isinstance(item, ToolOutputItem) and item.id in request.news]
            said, calls = [" ".join(f"By the way, that is {told(item.status)}." for item in done)], []
        else:
            said, calls = said_and_wanted(plan, number, tools, request.agent)
        phase: Phase | None = "commentary" if calls and act != "end" else "final_answer"
        for text in said:
            async for event in self._say(text, None if act == "unphased" else phase):
                yield event
        for name, arguments in calls:
            yield ToolCall(new_tool_call_id(), name, arguments)
        yield RoundDone(3, 5)

    async def close(self) -> None:
        """Nothing to close."""

    async def _say(self, text: str, phase: Phase | None) -> AsyncGenerator[ModelEvent, None]:
        if not self.repeatable:
            text = f"Take {self._asked}. {text}"
        for at in range(0, len(text), PIECE_LETTERS):
            yield TextDelta(text[at : at + PIECE_LETTERS], phase)
            await asyncio.sleep(0.008)


def arguments(plan: TurnPlan, number: int) -> str:
    given = {"number": number, "before_ms": plan.tool_before_ms, "after_ms": plan.tool_after_ms}
    return msgspec.json.encode(given).decode()


def said_and_wanted(
    plan: TurnPlan | None, number: int, tools: Sequence[ToolStatus | None], agent: str
) -> tuple[list[str], list[tuple[str, str]]]:
    """What is said in a round, and the tools that are called then. tools: that were called in the turn before."""
    made = len(tools)
    if plan is None:
        return [f"What was {number}?"], []
    match plan.act:
        case "handoff" if not made:
            return [f"Let me hand {number} over."], [(f"transfer_to_{NEXT[agent]}", "{}")]
        case "end" if not made:
            if plan.sentences % 2:
                return [], [("end_call", msgspec.json.encode({"farewell": farewell(number)}).decode())]
            return [farewell(number)], [("end_call", "{}")]
        case "refund" | "search" | "slow" if not made:
            beside = [("note", arguments(plan, number))] if plan.tools > 1 else []
            return [f"Let me see to {number}."], [(plan.act, arguments(plan, number)), *beside]
        case "end" | "refund" | "search" | "slow":
            return [f"That is {told(tools[0])} with {number}."], []
        case _ if made < plan.tools:
            return [f"Let me note {number}, part {made + 1}."], [("note", arguments(plan, number))]
        case _:
            return [answer(plan, number)], []


NEXT = {"": "desk", "desk": "expert", "careful": "expert", "expert": "desk"}


def told(status: ToolStatus | None) -> str:
    """As a model tells what came of a tool."""
    return DONE if status == "ok" else "under way" if status is None else "not done"


def farewell(number: int) -> str:
    return f"That was all about {number}. It was a pleasure to serve you. Goodbye, and call again."


def answer(plan: TurnPlan, number: int) -> str:
    match plan.act:
        case "promise":
            return f"I promise part {number}. I really do."
        case "secret":
            return f"This is part 1 of {number}. The {SECRET} of {number}. And more of {number}."
        case "gold":
            return f"This is part 1 of {number}. The {GOLD} of {number}. And more of {number}."
        case _:
            return " ".join(f"This is part {at + 1} of {number}." for at in range(plan.sentences))


INEXACT = ("refund", "promise", "refused", "refused late", "secret", "end", "thrown out", "search", "slow", "passed on")


def reply(plan: TurnPlan) -> str:
    """All that a repeatable model says in the turn, its items joined with one space; empty where it depends."""
    if plan.act in INEXACT:
        return ""
    number = plan.spoken
    commentary = [f"Let me note {number}, part {made + 1}." for made in range(plan.tools)]
    if plan.act == "handoff":
        commentary = [f"Let me hand {number} over."]
    return " ".join([*commentary, answer(plan, number).replace(GOLD, LEAD)])


def _where(request: ModelRequest) -> tuple[str, list[ToolStatus | None]]:
    """The caller's last words, and what came of the tools that were called since."""
    words, called, status = "", [], {}
    for item in request.items:
        if isinstance(item, MessageItem) and item.role == "user":
            words, called = item.text, []
        elif isinstance(item, ToolCallItem):
            called.append(item.id)
        elif isinstance(item, ToolOutputItem):
            status[item.id] = item.status
    return words, [status.get(key) for key in called]
