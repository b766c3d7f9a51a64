"""What an agent's guardrails say of one text, in their order: the verdict that holds, and each that wasn't `allow`.

A guardrail that raises, is late or says what can't be done has failed, and its `on_failure` stands in. What it
raised is named by its type alone: its message may hold what must not be recorded.
"""

import asyncio
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple, get_args

import msgspec
from prometheus_client import Counter, Gauge, Histogram

from trunkline.agents import Check, Guardrail, Verdict
from trunkline.agents.guardrail import On
from trunkline.proto.policy import Action
from trunkline.runtime.threads import in_thread
from trunkline.telemetry import logs

HUNG_LIMIT = 32  # judges that were given up and are not over; with so many, those that need a thread fail at once
TEXT_LIMIT_BYTES = 64 * 1024  # of what a guardrail writes; a record's entry can't hold much more
REASON_CHARACTERS = 500
STOP_S = 1.0  # asynchronous judges that were told to end may take this long
ACTIONS: tuple[Action, ...] = get_args(Action)
BUCKETS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

log = logs.get(__name__)
_verdicts = Counter("trunkline_agent_verdicts_total", "Verdicts of an agent's policy", ["point", "action"])
_failures = Counter("trunkline_agent_guardrail_failures_total", "Guardrails that gave no usable verdict", ["guardrail"])
_seconds = Histogram(
    "trunkline_agent_policy_seconds", "From a text to the verdict of all who look at it", ["point"], buckets=BUCKETS_S
)
_hung = Gauge("trunkline_agent_hung_guardrails", "Judges that were given up but are not over")


class Given(NamedTuple):
    """One guardrail's word. failed: it gave none that can be used, so this is its `on_failure`."""

    guardrail: str
    verdict: Verdict
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """action: of all of them. text: what goes on, rewritten or as it was; of block and end, the reply to the caller.

    to: of hand_off. given: in order, but for those that simply allowed it.
    """

    action: Action
    text: str
    to: str = ""
    given: tuple[Given, ...] = ()


class Failure(NamedTuple):
    """Why a guardrail gave no verdict, and where in its code."""

    why: str
    where: str = ""


class HungJudges:
    """Of a process: judges that were given up. A task is told to end, a thread can't be."""

    def __init__(self) -> None:
        self._hung: set[asyncio.Future[Verdict | Failure]] = set()

    @property
    def count(self) -> int:
        return len(self._hung)

    def give_up(self, work: asyncio.Future[Verdict | Failure]) -> None:
        self._hung.add(work)
        _hung.set(len(self._hung))
        work.add_done_callback(self._over)
        if isinstance(work, asyncio.Task):
            work.cancel()

    async def stop(self) -> None:
        tasks = [work for work in self._hung if isinstance(work, asyncio.Task)]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    def _over(self, work: asyncio.Future[Verdict | Failure]) -> None:
        self._hung.discard(work)
        _hung.set(len(self._hung))


class Policy:
    """Of one agent, for all its calls. agents: names that can be handed off to. hung: of the process."""

    def __init__(self, guardrails: Sequence[Guardrail], agents: Collection[str], hung: HungJudges) -> None:
        self._guardrails = tuple(guardrails)
        self._agents = frozenset(agents)
        self._hung = hung

    def looks(self, on: On, tool: str = "", *, parallel: bool = False) -> bool:
        """Whether anybody is to be asked. parallel: of those that judge while the model answers; only at the input."""
        return any(one.parallel == parallel and one.looks_at(on, tool) for one in self._guardrails)

    async def judge(self, check: Check, *, parallel: bool = False) -> Judged:
        """Each sees the text as those before it left it; the first that neither allows nor rewrites has the last word.

        Never raises but CancelledError; returns without suspending if nobody who takes time is asked.
        """
        asked = [one for one in self._guardrails if one.parallel == parallel and one.looks_at(check.on, check.tool)]
        if not asked:
            return Judged("allow", check.text)
        began_s = time.perf_counter()
        judged = await self._judge(check, asked)
        _seconds.labels(check.on).observe(time.perf_counter() - began_s)
        _verdicts.labels(check.on, judged.action).inc()
        return judged

    async def _judge(self, check: Check, asked: Sequence[Guardrail]) -> Judged:
        given: list[Given] = []
        action: Action = "allow"
        for guardrail in asked:
            one = await self._ask(guardrail, check)
            verdict = one.verdict
            if one.failed or verdict.action != "allow":
                given.append(one)
            if verdict.action == "rewrite":
                action = "rewrite"
                check = _rewritten(check, verdict.text)
            elif verdict.action != "allow":
                return Judged(verdict.action, verdict.text, verdict.to, tuple(given))
        return Judged(action, check.text, "", tuple(given))

    async def _ask(self, guardrail: Guardrail, check: Check) -> Given:
        said = await self._verdict(guardrail, check)
        if isinstance(said, Verdict):
            wrong = self._wrong_with(said, check)
            if not wrong:
                return Given(guardrail.name, replace(said, reason=_recordable(said.reason)))
            said = Failure(wrong)
        _failures.labels(guardrail.name).inc()
        log.warning("guardrail failed", guardrail=guardrail.name, on=check.on, why=said.why, traceback=said.where)
        reason = f"failed: {said.why}"
        if guardrail.on_failure == "allow":
            return Given(guardrail.name, Verdict("allow", reason=reason), failed=True)
        return Given(guardrail.name, Verdict("block", guardrail.reply, reason=reason), failed=True)

    async def _verdict(self, guardrail: Guardrail, check: Check) -> Verdict | Failure:
        if guardrail.inline:
            return _called(guardrail, check)
        if guardrail.asynchronous:
            work: asyncio.Future[Verdict | Failure] = asyncio.create_task(_awaited(guardrail, check))
        elif self._hung.count >= HUNG_LIMIT:
            return Failure(f"{self._hung.count} guardrails hang already")
        else:
            work = in_thread(lambda: _called(guardrail, check), f"guardrail-{guardrail.name}")
        try:
            await asyncio.wait({work}, timeout=guardrail.timeout_s)
        finally:
            if not work.done():
                self._hung.give_up(work)
        return work.result() if work.done() else Failure(f"no verdict within {guardrail.timeout_s:g} s")

    def _wrong_with(self, verdict: Verdict, check: Check) -> str:
        """Empty for a verdict that can be carried out."""
        if verdict.action not in ACTIONS:
            return "its action is unknown"
        if not all(isinstance(text, str) for text in (verdict.text, verdict.to, verdict.reason)):
            return "its verdict holds something else than text"
        if len(verdict.text.encode("utf-8", "replace")) > TEXT_LIMIT_BYTES or not _is_unicode(verdict.text):
            return f"its text is no Unicode of up to {TEXT_LIMIT_BYTES} bytes"
        if verdict.action == "hand_off" and (verdict.to not in self._agents or verdict.to == check.call.agent):
            return f"{verdict.to[:64]!r} is no other agent of the file"
        if verdict.action == "rewrite" and not _fits(verdict.text, check.on):
            return "what it wrote is no JSON object" if check.on == "tool_arguments" else "what it wrote is no JSON"
        return ""


def _called(guardrail: Guardrail, check: Check) -> Verdict | Failure:
    try:
        verdict = guardrail.judge(check)
    except BaseException as error:  # a rim: a guardrail is anybody's code, SystemExit included
        return _raised(error)
    if asyncio.iscoroutine(verdict):
        verdict.close()  # it would be told of as never awaited
    return _given(verdict)


async def _awaited(guardrail: Guardrail, check: Check) -> Verdict | Failure:
    try:
        verdict = await guardrail.judge(check)  # type: ignore[misc]  # a coroutine function: Guardrail.asynchronous
    except BaseException as error:  # a rim, as above, cancellation included
        return _raised(error)
    return _given(verdict)


def _given(verdict: object) -> Verdict | Failure:
    if verdict is None:
        return Verdict("allow")
    return verdict if isinstance(verdict, Verdict) else Failure(f"it gave {type(verdict).__name__}, not a verdict")


def _raised(error: BaseException) -> Failure:
    return Failure(type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))


def _is_unicode(text: str) -> bool:
    """Without halves of surrogate pairs, which UTF-8 can't hold."""
    return text.encode("utf-8", "replace").decode() == text


def _recordable(reason: str) -> str:
    return reason[:REASON_CHARACTERS].encode("utf-8", "replace").decode()


def _fits(text: str, on: On) -> bool:
    if on not in ("tool_arguments", "tool_result"):
        return True
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return on == "tool_result" or isinstance(value, dict)


def _rewritten(check: Check, text: str) -> Check:
    if check.on != "tool_arguments":
        return replace(check, text=text)
    arguments: Mapping[str, object] = MappingProxyType(msgspec.json.decode(text, type=dict[str, object]))
    return replace(check, text=text, arguments=arguments)
