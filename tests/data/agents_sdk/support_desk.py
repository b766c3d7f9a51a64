"""A support desk on the OpenAI Agents SDK: handoffs both ways, a guardrail at each end, an approval, a shared context."""

import asyncio
import sys
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    RunContextWrapper,
    Runner,
    TResponseInputItem,
    function_tool,
    handoff,
    input_guardrail,
    output_guardrail,
)
from agents.extensions.handoff_filters import remove_all_tools
from pydantic import BaseModel


class Customer(BaseModel):
    name: str
    verified: bool = False
    refunded: list[float] = []


context = Customer(name="Ada")


@function_tool
async def verify(ctx: RunContextWrapper[Customer], pin: str) -> str:
    """Verify the customer by the PIN.

    Args:
        pin: Four digits.
    """
    ctx.context.verified = pin == "4711"
    return f"{ctx.context.name} is {'verified' if ctx.context.verified else 'not verified'}."


@function_tool
def order_status(order: str, verbose: bool = False) -> dict[str, Any]:
    """Where an order is."""
    return {"order": order, "state": "on its way", "verbose": verbose}


async def is_large(ctx: RunContextWrapper[Customer], arguments: dict[str, Any], call_id: str) -> bool:
    return arguments["amount"] > 20 or not ctx.context.verified


@function_tool(needs_approval=is_large)
def refund(ctx: RunContextWrapper[Customer], amount: float) -> str:
    """Pay money back."""
    ctx.context.refunded.append(amount)
    return f"{amount:.2f} euros are on their way."


@input_guardrail(run_in_parallel=False)
async def no_politics(
    ctx: RunContextWrapper[Customer], agent: Agent, input: str | list[TResponseInputItem]
) -> GuardrailFunctionOutput:
    words = input if isinstance(input, str) else str(input[-1]["content"])
    return GuardrailFunctionOutput({"words": len(words.split())}, "election" in words)


@output_guardrail
def no_promises(ctx: RunContextWrapper[Customer], agent: Agent, output: str) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput("a promise", "guarantee" in output)


def for_refunds(ctx: RunContextWrapper[Customer], agent: Agent) -> str:
    verified = "verified" if ctx.context.verified else "to be verified"
    return f"You are {agent.name}. The customer, {ctx.context.name}, is {verified}."


refunds = Agent[Customer](
    name="Refund desk",
    handoff_description="Pays money back.",
    instructions=for_refunds,
    tools=[verify, refund],
    output_guardrails=[no_promises],
)
orders = Agent[Customer](name="Order desk", instructions="You know where orders are.", tools=[order_status])
triage = Agent[Customer](
    name="Triage",
    instructions="You find out who can help.",
    handoffs=[orders, handoff(refunds, tool_name_override="to_refunds", input_filter=remove_all_tools)],
    tools=[order_status],
    input_guardrails=[no_politics],
)
refunds.handoffs.append(triage)
orders.handoffs.append(triage)


async def main() -> None:
    result = await Runner.run(triage, " ".join(sys.argv[1:]), context=context)
    print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main())
