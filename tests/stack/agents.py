"""The agents that the stack's tests call: the example's front desk, the same without a greeting, and a slow one."""

import asyncio
import sys
from pathlib import Path

from trunkline.agents import Agent, tool

sys.path.insert(0, str(Path(__file__).parents[2] / "examples/agents"))

import frontdesk as example

SLOW_TOOL_S = 2.0

frontdesk = example.frontdesk
quick = Agent("quick", instructions=frontdesk.instructions, tools=list(frontdesk.tools))


@tool(commentary="One moment, I am asking the weather station.")
async def ask_weather_station(city: str) -> str:
    """Weather forecast for a city: temperature, rain or sun."""
    await asyncio.sleep(SLOW_TOOL_S)
    return f"The weather in {city.title()} is 18 degrees and light rain."


slow = Agent("slow", instructions="You tell the weather, slowly.", tools=[ask_weather_station])


@tool(commentary="Gladly.")
async def tell_story() -> str:
    """Tell me the weather story, a long one."""
    return (
        "Once upon a time there was a small town by the sea where it rained every single day of the year. "
        "The people carried umbrellas to the market, to school and even to their beds. "
        "One morning a stranger came and asked them why nobody had ever thought of building a roof. "
        "They looked at each other, they looked at the sky, and they had no answer for him."
    )


talker = Agent("talker", instructions="You tell a long story.", tools=[tell_story])
