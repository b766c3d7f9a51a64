"""A desk for tests whose clients bring tools of their own; one page of theirs is never to be opened."""

import asyncio

from trunkline.agents import Agent, Check, Verdict, block, guardrail, tool

DENIED = "That page is closed."


@tool()
async def search_archive() -> str:
    """Search the archive."""
    await asyncio.sleep(1.5)
    return "The archive is empty."


@guardrail(on="tool_arguments")
def no_thirteen(check: Check) -> Verdict | None:
    return block(DENIED) if check.arguments.get("page") == "thirteen" else None


desk = Agent("client desk", tools=[search_archive], guardrails=[no_thirteen])
