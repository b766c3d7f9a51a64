"""The agent file of a soak: one tool, which keeps nothing."""

from trunkline.agents import Agent, tool


@tool
async def note(number: str) -> str:
    """Note a number.

    Args:
        number: The number, as it was said.
    """
    return f"noted {number}"


desk = Agent("desk", instructions="You note numbers. Be brief.", tools=[note])
