"""The agent of a stack that `trunkline load` starts: no greeting and no tools, so that a turn is one reply."""

from trunkline.agents import Agent

load = Agent("load", instructions="You answer callers who measure how long that takes. Be brief.")
