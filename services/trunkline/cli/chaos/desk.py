"""The agent file of a run: its one tool takes effect at a back end that counts, under the tool call's own key."""

import os

import aiohttp
import msgspec

from trunkline.agents import Agent, ToolContext, tool

BACKEND = "TRUNKLINE_CHAOS_BACKEND"  # where the effects are counted: http://host:port
TIMEOUT_S = 6.0


@tool(timeout_s=TIMEOUT_S)
async def note_number(number: str, context: ToolContext) -> str:
    """Note a number.

    Args:
        number: The number, as it was said.
    """
    arguments = msgspec.json.encode({"number": number}).decode()
    order = {"key": context.idempotency_key, "arguments": arguments, "call": context.call_id, "pid": os.getpid()}
    async with aiohttp.ClientSession() as session, session.post(os.environ[BACKEND], json=order) as answer:
        answer.raise_for_status()
        return await answer.text()


desk = Agent("desk", instructions="You note numbers.", tools=[note_number])
