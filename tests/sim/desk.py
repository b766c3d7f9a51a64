"""The agent file of simulated calls: its tools do something outside, which is counted, before and after a while."""

import asyncio

from sim.outside import Done, done
from trunkline.agents import Agent, ToolContext, tool


@tool(timeout_s=2.5)
async def note(number: int, before_ms: int, after_ms: int, context: ToolContext) -> str:
    """Note a number."""
    await asyncio.sleep(before_ms / 1000)
    done.append(Done(context.idempotency_key, number, asyncio.get_running_loop().time(), False))
    await asyncio.sleep(after_ms / 1000)
    return f"noted {number}"


desk = Agent("desk", instructions="Note what is said.", tools=[note])
