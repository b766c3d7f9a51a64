"""An airline's desk on the OpenAI Agents SDK: handoffs that do something, tools and handoffs that come and go."""

import random
from dataclasses import dataclass
from typing import Any

from agents import Agent, RunContextWrapper, function_tool, handoff
from pydantic import BaseModel


@dataclass
class Booking:
    flight: str | None = None
    seat: str | None = None
    reasons: int = 0


context = Booking()


class Reason(BaseModel):
    reason: str
    urgent: bool = False


async def find_flight(ctx: RunContextWrapper[Booking]) -> None:
    ctx.context.flight = f"FLT-{random.choice([117, 118])}"


def note_reason(ctx: RunContextWrapper[Booking], input: Reason) -> None:
    if input.reason == "none":
        raise ValueError("there must be a reason")
    ctx.context.reasons += 1


def has_flight(ctx: RunContextWrapper[Booking], agent: Any) -> bool:
    return ctx.context.flight is not None


async def has_seat(ctx: RunContextWrapper[Booking], agent: Any) -> bool:
    return ctx.context.seat is not None


@function_tool(is_enabled=has_flight)
async def take_seat(ctx: RunContextWrapper[Booking], seat: str) -> str:
    """Change the seat of the flight."""
    ctx.context.seat = seat
    return f"Seat {seat} on flight {ctx.context.flight}."


seats = Agent[Booking](name="Seat booking", instructions="You change seats.", tools=[take_seat])
people = Agent[Booking](name="People", instructions="You are a person.")
front = Agent[Booking](
    name="Front desk",
    instructions="You find out who can help.",
    tools=[take_seat],
    handoffs=[handoff(seats, on_handoff=find_flight), handoff(people, on_handoff=note_reason, input_type=Reason)],
)
seats.handoffs += [front, handoff(people, is_enabled=has_seat)]
