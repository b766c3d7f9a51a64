"""The agent that stock clients call in these tests: one tool of its own, the rest they bring themselves."""

from typing import Annotated

import msgspec

from trunkline.agents import Agent, tool

OrderNumber = Annotated[str, msgspec.Meta(pattern=r"^\d{4}$", description="The four digits of the order number.")]


@tool(commentary="One moment, I am looking up your order.", read_only=True)
def lookup_order(order_number: OrderNumber) -> str:
    """Where is my order: status and delivery of an order."""
    return f"Order {' '.join(order_number)} was shipped yesterday and arrives tomorrow."


desk = Agent("desk", instructions="You answer for a small web shop.", tools=[lookup_order])
