"""Two desks for tests whose clients name the one that they want."""

from trunkline.agents import Agent

front = Agent("front", instructions="You are the front desk.")
night = Agent("night", instructions="You are the night desk.")
