"""An agent for a real language model: it talks for long, so that there is something to interrupt."""

from trunkline.agents import Agent, ModelSettings

storyteller = Agent(
    "storyteller",
    instructions="You are a storyteller on the telephone. Whatever the caller says, tell a very long story about it.",
    settings=ModelSettings(temperature=0.0, max_output_tokens=1200),
)
