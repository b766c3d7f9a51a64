"""Guardrails of the SDK as guardrails: a tripwire blocks the turn with a safe reply instead of raising at a runner."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agents import GuardrailFunctionOutput, InputGuardrail, OutputGuardrail
from agents.agent import AgentBase

from trunkline.agents.guardrail import Check, Guardrail, On, Verdict, allow, block
from trunkline.agents.sdk.shared import Shared

TIMEOUT_S = 10.0  # the SDK sets none, and most of these ask a model
REPLY = "I am sorry, I can't help with that."
NAME_CHARACTERS = 60
REASON_CHARACTERS = 300

Asked = Callable[[Check], GuardrailFunctionOutput | Awaitable[GuardrailFunctionOutput]]


def guardrails_of(agent: AgentBase[Any], shared: Shared) -> tuple[Guardrail, ...]:
    """Of its input, on the caller's words, which RealtimeAgents have none of; of its output, on the whole answer."""
    inputs: Sequence[InputGuardrail[Any]] = getattr(agent, "input_guardrails", ())
    outputs: Sequence[OutputGuardrail[Any]] = getattr(agent, "output_guardrails", ())
    made: list[Guardrail] = []
    for one in inputs:
        made.append(_guardrail(one, "input", agent, shared, made, parallel=one.run_in_parallel))
    for other in outputs:
        made.append(_guardrail(other, "output", agent, shared, made))
    return tuple(made)


def _guardrail(
    given: InputGuardrail[Any] | OutputGuardrail[Any],
    on: On,
    agent: AgentBase[Any],
    shared: Shared,
    others: Sequence[Guardrail],
    parallel: bool = False,
) -> Guardrail:
    name = _name(given.get_name(), [one.name for one in others])

    def ask(check: Check) -> GuardrailFunctionOutput | Awaitable[GuardrailFunctionOutput]:
        wrapped = shared.wrapped(check.call.state)
        return given.guardrail_function(wrapped, agent, check.text)  # type: ignore[arg-type]  # or a RealtimeAgent

    judge = _waiting(name, ask) if _is_async(given.guardrail_function) else _blocking(name, ask)
    return Guardrail(name, judge, (on,), timeout_s=TIMEOUT_S, reply=REPLY, parallel=parallel)


def _waiting(name: str, ask: Asked) -> Callable[[Check], Awaitable[Verdict]]:
    async def judge(check: Check) -> Verdict:
        if check.phase == "commentary":  # the SDK shows a guardrail the final output alone
            return allow()
        answer = ask(check)
        return _verdict(name, await answer if inspect.isawaitable(answer) else answer)

    return judge


def _blocking(name: str, ask: Asked) -> Callable[[Check], Verdict]:
    """Of a plain function: it gets a thread, where the SDK would hold up its loop."""

    def judge(check: Check) -> Verdict:
        if check.phase == "commentary":
            return allow()
        answer = ask(check)
        return _verdict(name, asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer)

    return judge


async def _awaited(answer: Awaitable[GuardrailFunctionOutput]) -> GuardrailFunctionOutput:
    return await answer


def _verdict(name: str, said: GuardrailFunctionOutput) -> Verdict:
    if not said.tripwire_triggered:
        return allow()
    info = "" if said.output_info is None else f": {said.output_info}"
    return block(REPLY, reason=" ".join(f"{name}{info}".split())[:REASON_CHARACTERS])


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _name(given: str, taken: Sequence[str]) -> str:
    """One line, and another for each: the SDK doesn't mind two of one name."""
    name = "".join(c if c.isprintable() else " " for c in given)[:NAME_CHARACTERS] or "guardrail"
    number = 1
    while (numbered := name if number == 1 else f"{name} {number}") in taken:
        number += 1
    return numbered
