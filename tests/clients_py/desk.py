"""A desk for stock clients: one tool of its own, beside whatever a client brings; another desk at night."""

from trunkline.agents import Agent, tool


@tool()
async def look_up(word: str) -> str:
    """Look a word up in the dictionary."""
    return f"{word} is a word."


desk = Agent("desk", instructions="Be brief.", tools=[look_up])
night = Agent("night", instructions="Whisper.")
