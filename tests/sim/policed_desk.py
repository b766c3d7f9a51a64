"""The agent file of simulated calls in which policy, approvals, handoffs and the end of the call have their part."""

import asyncio

import msgspec

from sim.acts import GOLD, LEAD, POLITELY, SECRET, act_of
from sim.outside import Done, done
from sim.sound import number_in
from trunkline.agents import (
    Agent,
    Approval,
    Check,
    Fillers,
    Guardrail,
    Tool,
    ToolContext,
    Verdict,
    block,
    end,
    end_call,
    guardrail,
    hand_off,
    handoff,
    rewrite,
    tool,
)

TIMEOUT_S = 2.5
DECISION_S = 3.0  # a person has, then the default holds
WHEN_POLITE_S, WHEN_LATE_S = 0.004, 0.04  # that guardrails take

ASKS = Approval(timeout_s=DECISION_S, commentary="A colleague has to agree.", reminder="Still waiting.", again_s=1.0)


async def _work(number: int, before_ms: int, after_ms: int, context: ToolContext, times: int = 1) -> None:
    arguments = msgspec.json.encode({"number": number, "before_ms": before_ms, "after_ms": after_ms}).decode()
    await asyncio.sleep(times * before_ms / 1000)
    done.append(Done(context.idempotency_key, number, asyncio.get_running_loop().time(), False, arguments))
    await asyncio.sleep(times * after_ms / 1000)


@tool(timeout_s=TIMEOUT_S)
async def note(number: int, before_ms: int, after_ms: int, context: ToolContext) -> str:
    """Note a number."""
    await _work(number, before_ms, after_ms, context)
    return f"noted {number}"


@tool(timeout_s=TIMEOUT_S, approval=ASKS)
async def refund(number: int, before_ms: int, after_ms: int, context: ToolContext) -> str:
    """Refund an order."""
    await _work(number, before_ms, after_ms, context)
    return f"refunded {number}"


@tool(timeout_s=TIMEOUT_S, background=True)
async def search(number: int, before_ms: int, after_ms: int, context: ToolContext) -> str:
    """Look a number up."""
    context.progress(f"Looking for {number}.")
    await _work(number, before_ms, after_ms, context, times=5)
    context.progress(f"The {SECRET} of {number}.")
    return f"found {number}"


@tool(timeout_s=TIMEOUT_S, cancel_on_interrupt=True)
async def slow(number: int, before_ms: int, after_ms: int, context: ToolContext) -> str:
    """Take a while."""
    await _work(number, before_ms, after_ms, context, times=5)
    return f"took a while for {number}"


@guardrail(on="input")
async def words(check: Check) -> Verdict | None:
    await asyncio.sleep(WHEN_POLITE_S)
    match act_of(number_in(check.text)):
        case "refused":
            return block("Let us not speak of that.")
        case "passed on":
            return hand_off(NEXT[check.call.agent])
        case "thrown out":
            return end("That is too much. Goodbye.")
        case "redacted" if POLITELY not in check.text:
            return rewrite(check.text + POLITELY)
        case _:
            return None


@guardrail(on="input", parallel=True)
async def words_while_it_answers(check: Check) -> Verdict | None:
    act = act_of(number_in(check.text))
    await asyncio.sleep(WHEN_LATE_S if act.endswith("late") else 0)
    match act:
        case "refused late":
            return block("Let us not speak of that.")
        case "redacted late" if POLITELY not in check.text:
            return rewrite(check.text + POLITELY)
        case _:
            return None


@guardrail(on="output")
async def segments(check: Check) -> Verdict | None:
    await asyncio.sleep(WHEN_POLITE_S)
    if SECRET in check.text:
        return block("I can't help with that.")
    return rewrite(check.text.replace(GOLD, LEAD)) if GOLD in check.text else None


@guardrail(on="tool_arguments")
async def arguments(check: Check) -> Verdict | None:
    await asyncio.sleep(WHEN_POLITE_S)
    number, after_ms = check.arguments.get("number"), check.arguments.get("after_ms")
    if not isinstance(number, int) or not isinstance(after_ms, int) or act_of(number) != "amended":
        return None
    return rewrite(msgspec.json.encode({**check.arguments, "after_ms": after_ms + 1}).decode())


@guardrail(on="tool_result")
async def results(check: Check) -> Verdict | None:
    await asyncio.sleep(WHEN_POLITE_S)
    number = check.arguments.get("number")
    return block("It is not for you.") if isinstance(number, int) and act_of(number) == "withheld" else None


NEXT = {"desk": "expert", "careful": "expert", "expert": "desk"}
POLICY: list[Guardrail] = [words, words_while_it_answers, segments, arguments, results]
TOOLS: list[Tool] = [note, refund, search, slow, end_call()]
FILLERS = Fillers(("One moment.", "Just a second."), after_s=0.15)

desk = Agent("desk", tools=TOOLS, guardrails=POLICY, fillers=FILLERS, handoffs=["expert"])
careful = Agent(
    "careful",
    tools=TOOLS,
    guardrails=POLICY,
    fillers=FILLERS,
    handoffs=["expert"],
    answer_approval=Approval(
        when=lambda call, given: "promise" in given["text"],
        timeout_s=DECISION_S,
        commentary="A colleague looks at that.",
        reminder="Still looking.",
        again_s=1.0,
        denied="I can't say that.",
    ),
)
expert = Agent("expert", tools=TOOLS, guardrails=POLICY, voice="deep", handoffs=[handoff("desk")])
