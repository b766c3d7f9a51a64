"""The agent of a `trunkline up` without --agent: it says that it is one, and tells the time."""

from datetime import UTC, datetime

from trunkline.agents import Agent, tool


@tool(commentary="Let me look at the clock.")
def get_time() -> str:
    """What time is it: tells the time now, in UTC."""
    return f"It is {datetime.now(UTC):%H:%M} in coordinated universal time."


receptionist = Agent(
    "receptionist",
    instructions="You answer calls to a Trunkline that nobody has given an agent yet. Be brief.",
    greeting="Hello, this is Trunkline. I can tell you the time.",
    tools=[get_time],
)
