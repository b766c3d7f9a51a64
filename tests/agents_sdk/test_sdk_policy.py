"""The SDK's guardrails, approvals, instructions and hooks, asked as the agent's process asks them."""

import asyncio
import inspect
from dataclasses import dataclass
from typing import Any

import pytest
from agents import (
    Agent,
    AgentHooks,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    RunContextWrapper,
    function_tool,
    input_guardrail,
    output_guardrail,
)

from agents_sdk.referee import Call, Say, run
from support.virtual import run_virtual
from trunkline.agents import Agent as OurAgent
from trunkline.agents import CallContext, Check, Verdict
from trunkline.agents.sdk.adopt import adopt
from trunkline.agents.sdk.guardrails import REPLY

CALL = CallContext("rtc_00_test", "Desk", 1, {"context": {"name": "Ada", "limit": 10}})


@dataclass
class Customer:
    name: str
    limit: int = 20


def accepted(agent: Agent[Any], **others: Agent[Any]) -> OurAgent:
    return adopt({"agent": agent, **others, "context": Customer("Bob")}, "")["agent"]


@input_guardrail
async def no_shouting(context: RunContextWrapper[Customer], agent: Agent, input: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput({"who": context.context.name, "whom": agent.name}, input.isupper())


@output_guardrail
def no_promises(context: RunContextWrapper[Customer], agent: Agent, output: str) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, "guarantee" in output)


GUARDED = Agent("Desk", input_guardrails=[no_shouting], output_guardrails=[no_promises])


def judged(agent: OurAgent, check: Check) -> list[Verdict | None]:
    async def ask() -> list[Verdict | None]:
        verdicts: list[Verdict | None] = []
        for one in agent.guardrails:
            if one.looks_at(check.on):
                said = one.judge(check) if one.asynchronous else await asyncio.to_thread(one.judge, check)
                verdicts.append(await said if inspect.isawaitable(said) else said)
        return verdicts

    return run_virtual(ask())


@pytest.mark.parametrize(("words", "answer"), [("Hello", "Hi."), ("HELLO", "Hi."), ("Hello", "I guarantee it.")])
def test_a_guardrail_blocks_where_the_sdks_runner_raises(words: str, answer: str) -> None:
    raised: list[str] = []
    try:
        run_virtual(run(GUARDED, words, [[Say(answer)]], Customer("Ada")))
    except (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered) as error:
        raised = [error.guardrail_result.guardrail.get_name()]

    agent = accepted(GUARDED)
    verdicts = judged(agent, Check("input", words, CALL)) + judged(agent, Check("output", answer, CALL))
    names = [one.name for one in agent.guardrails]
    blocked = [name for name, verdict in zip(names, verdicts, strict=True) if verdict and verdict.action == "block"]

    assert blocked == raised


def test_a_tripwires_reply_is_safe_and_its_reason_says_what_it_found() -> None:
    (verdict,) = judged(accepted(GUARDED), Check("input", "HELLO", CALL))

    assert verdict == Verdict("block", REPLY, reason="no_shouting: {'who': 'Ada', 'whom': 'Desk'}")


def test_an_output_guardrail_sees_the_whole_answer_and_no_commentary() -> None:
    agent = accepted(GUARDED)

    assert agent.approve == "answer"
    assert judged(agent, Check("output", "guarantee", CALL, phase="commentary")) == [Verdict("allow")]


def test_input_guardrails_run_beside_the_model_as_their_author_says() -> None:
    def check(context: Any, agent: Any, input: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(None, False)

    rails = [InputGuardrail(check), InputGuardrail(check, run_in_parallel=False), InputGuardrail(check, name="a\nb")]
    agent = accepted(Agent("Desk", input_guardrails=rails))

    assert [(one.name, one.parallel) for one in agent.guardrails] == [
        ("check", True),
        ("check 2", False),
        ("a b", True),
    ]


def test_instructions_are_asked_with_the_calls_context() -> None:
    async def words(context: RunContextWrapper[Customer], agent: Agent) -> str:
        return f"{agent.name} serves {context.context.name}"

    def plain(context: RunContextWrapper[Customer], agent: Agent) -> str:
        return f"{agent.name} greets {context.context.name}"

    said = []
    for given in (words, plain):
        instructions = accepted(Agent("Desk", instructions=given)).instructions
        assert callable(instructions)
        said.append(run_virtual(_awaited(instructions(CALL))))

    assert said == ["Desk serves Ada", "Desk greets Ada"]


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def over_limit(context: RunContextWrapper[Customer], arguments: dict[str, Any], call_id: str) -> bool:
    return bool(arguments["amount"] > context.context.limit)


@function_tool(needs_approval=over_limit)
def refund(amount: int, note: str = "") -> str:
    """Pay back."""
    return "Paid."


@function_tool(needs_approval=True)
def always() -> str:
    """Always asks."""
    return "Done."


async def waits(context: Any, arguments: Any, call_id: str) -> bool:
    await asyncio.sleep(1)
    return False


@function_tool(needs_approval=waits)
def asks_elsewhere() -> str:
    """Its condition needs I/O."""
    return "Done."


def asked(tool: Any, arguments: dict[str, Any]) -> bool:
    made = accepted(Agent("Desk", tools=[tool])).tools[0].approval
    assert made is not None
    return made.when is None or made.when(CALL, arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"amount": 10, "note": ""}, {"amount": 11, "note": ""}, {"amount": "10", "note": ""}, {"amount": 5}],
    ids=str,
)
def test_a_person_is_asked_exactly_where_the_sdks_runner_interrupts(arguments: dict[str, Any]) -> None:
    import json

    call = Call("call_1", "refund", json.dumps(arguments))
    result, _ = run_virtual(
        run(Agent("Desk", tools=[refund]), "Pay!", [[call], [Say("Done.")]], Customer("Ada", limit=10))
    )

    assert asked(refund, arguments) == bool(result.interruptions)


def test_a_person_is_asked_always_where_the_tool_says_so_or_its_condition_would_wait() -> None:
    async def both() -> list[bool]:
        return [asked(always, {}), asked(asks_elsewhere, {})]

    assert run_virtual(both()) == [True, True]


def test_what_the_model_reads_of_a_denied_tool_is_the_sdks_text() -> None:
    async def denied() -> Any:
        from agents import RunConfig, Runner

        from agents_sdk.referee import Scripted, outputs

        model = Scripted([[Call("call_1", "always", "{}")], [Say("So be it.")]])
        agent = Agent("Desk", tools=[always])
        result = await Runner.run(agent, "Go.", run_config=RunConfig(model=model))
        state = result.to_state()
        state.reject(result.interruptions[0])
        await Runner.run(agent, state, run_config=RunConfig(model=model))
        return outputs(model)["call_1"]

    approval = accepted(Agent("Desk", tools=[always])).tools[0].approval
    assert approval is not None

    assert approval.denied == run_virtual(denied())


def test_hooks_are_told_of_turns_tools_and_handoffs() -> None:
    told: list[object] = []

    class Told(AgentHooks[Customer]):
        async def on_start(self, context: Any, agent: Any) -> None:
            told.append(("start", context.context.name, agent.name))

        async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: object) -> None:
            told.append(("tool", tool.name, result))

        async def on_handoff(self, context: Any, agent: Any, source: Any) -> None:
            told.append(("handoff", agent.name, source.name))

    other = Agent("Other")
    desk = Agent("Desk", hooks=Told(), tools=[always], handoffs=[other])
    hooks, others = (
        accepted(desk).hooks,
        adopt({"desk": desk, "context": Customer("Bob")}, "")["Other (by handoff)"].hooks,
    )
    assert hooks.on_turn
    assert hooks.on_tool
    assert others.on_handoff

    async def happen() -> None:
        await _awaited(hooks.on_turn(CALL, "Hello"))  # type: ignore[misc]
        await _awaited(hooks.on_tool(CALL, "always", "ok", '"Done."'))  # type: ignore[misc]
        await _awaited(hooks.on_tool(CALL, "transfer_to_other", "ok", '""'))  # type: ignore[misc]
        await _awaited(others.on_handoff(CALL, "Desk", "Other"))  # type: ignore[misc]

    run_virtual(happen())

    assert told == [("start", "Ada", "Desk"), ("tool", "always", "Done."), ("handoff", "Other", "Desk")]
