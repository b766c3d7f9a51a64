"""The agent file of a run: its tools take effect at a back end that counts, under the tool call's own key.

Beside them is all that an agent may do: a person decides over refunds and promises, another agent goes on with the
call, policy blocks and rewrites, and the agent hangs up. What it is to do is told by the scene, and by the number said.
"""

import os

import aiohttp
import msgspec

from trunkline.agents import (
    Agent,
    Approval,
    Check,
    ToolContext,
    Verdict,
    block,
    end,
    end_call,
    guardrail,
    handoff,
    rewrite,
    tool,
)
from trunkline.cli.chaos import scene

BACKEND = "TRUNKLINE_CHAOS_BACKEND"  # where the effects are counted: http://host:port
TIMEOUT_S = 6.0
DECISION_S = 4.0  # a person has, then it is denied


@tool(timeout_s=TIMEOUT_S)
async def note_number(number: str, context: ToolContext) -> str:
    """Note a number.

    Args:
        number: The number, as it was said.
    """
    return await take_effect(number, context)


@tool(timeout_s=TIMEOUT_S, approval=Approval(timeout_s=DECISION_S, commentary="A colleague has to agree.", again_s=0))
async def refund_number(number: str, context: ToolContext) -> str:
    """Refund what was paid under a number.

    Args:
        number: The number, as it was said.
    """
    return await take_effect(number, context)


async def take_effect(number: str, context: ToolContext) -> str:
    arguments = msgspec.json.encode({"number": number}).decode()
    order = {"key": context.idempotency_key, "arguments": arguments, "call": context.call_id, "pid": os.getpid()}
    async with aiohttp.ClientSession() as session, session.post(os.environ[BACKEND], json=order) as answer:
        answer.raise_for_status()
        return await answer.text()


@guardrail(on="input")
async def words(check: Check) -> Verdict | None:
    if scene.says_goodbye(check.text):
        return end("Goodbye then. It was nice to talk to you.")
    return block("Let us not speak of that.") if scene.is_refused(check.text) else None


@guardrail(on="output")
async def segments(check: Check) -> Verdict | None:
    if scene.SECRET in check.text:
        return block("I can't help with that.")
    return rewrite(check.text.replace(scene.GOLD, scene.LEAD)) if scene.GOLD in check.text else None


TOOLS = [note_number, refund_number, end_call()]
POLICY = [words, segments]
desk = Agent(
    "desk",
    instructions="You note numbers.",
    tools=TOOLS,
    guardrails=POLICY,
    handoffs=[handoff("careful", tool_name=scene.HAND_OVER)],
)
careful = Agent(
    "careful",
    instructions="You note numbers, and promise nothing that nobody agreed to.",
    tools=TOOLS,
    guardrails=POLICY,
    voice="careful",
    handoffs=[handoff("desk", tool_name=scene.HAND_OVER)],
    answer_approval=Approval(
        when=lambda call, given: "promise" in given["text"],
        timeout_s=DECISION_S,
        commentary="A colleague looks at that.",
        again_s=0,
        denied="I can't say that.",
    ),
)
