"""A model whose answer depends on nothing but the caller's last words and the plan of the history."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

import msgspec

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
)
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.response import Phase

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
        words, made = _where(request)
        number = number_in(words)
        plan = self._turns.get(number)
        await asyncio.sleep(0.01)
        if plan is not None and made < plan.tools:
            async for event in self._say(f"Let me note {number}, part {made + 1}.", "commentary"):
                yield event
            yield ToolCall(new_tool_call_id(), "note", arguments(plan, number))
        else:
            async for event in self._say(answer(plan, number), "final_answer"):
                yield event
        yield RoundDone(3, 5)

    async def close(self) -> None:
        """Nothing to close."""

    async def _say(self, text: str, phase: Phase) -> AsyncGenerator[ModelEvent, None]:
        if not self.repeatable:
            text = f"Take {self._asked}. {text}"
        for at in range(0, len(text), PIECE_LETTERS):
            yield TextDelta(text[at : at + PIECE_LETTERS], phase)
            await asyncio.sleep(0.008)


def arguments(plan: TurnPlan, number: int) -> str:
    given = {"number": number, "before_ms": plan.tool_before_ms, "after_ms": plan.tool_after_ms}
    return msgspec.json.encode(given).decode()


def answer(plan: TurnPlan | None, number: int) -> str:
    if plan is None:
        return f"What was {number}?"
    return " ".join(f"This is part {at + 1} of {number}." for at in range(plan.sentences))


def reply(plan: TurnPlan, number: int) -> str:
    """All that a repeatable model says in the turn, its items joined with one space."""
    commentary = [f"Let me note {number}, part {made + 1}." for made in range(plan.tools)]
    return " ".join([*commentary, answer(plan, number)])


def _where(request: ModelRequest) -> tuple[str, int]:
    """The caller's last words, and how many tools were called since."""
    words, made = "", 0
    for item in request.items:
        if isinstance(item, MessageItem) and item.role == "user":
            words, made = item.text, 0
        elif isinstance(item, ToolCallItem):
            made += 1
    return words, made
