"""A desk for tests: one quick tool, one slow one, one that raises, one that hangs."""

import asyncio

from trunkline.agents import Agent, ToolContext, tool


@tool(commentary="One moment, let me check the weather in {city}.")
async def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


@tool(commentary="Let me search the archive, this takes a while.")
async def search_archive(context: ToolContext) -> str:
    """Search the archive."""
    await asyncio.sleep(2.0)
    return "The archive is empty."


@tool(commentary="I am printing the form.")
def print_form() -> str:
    """Print a form on the printer."""
    raise RuntimeError("no paper")


@tool(commentary="I am calling the lighthouse.", timeout_s=0.5)
async def call_lighthouse() -> str:
    """Call the lighthouse."""
    await asyncio.sleep(3600)
    return "never"


desk = Agent(
    "weather desk",
    instructions="Be brief.",
    greeting="Hello.",
    tools=[get_weather, search_archive, print_form, call_lighthouse],
)
