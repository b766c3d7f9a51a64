"""Runs tools: takes orders, contains whatever a tool does, and answers each order once the run is over.

No tool runs without this runner's claim. Every order that is taken is answered before its deadline, whatever the tool
does; what a tool raises, returns or hangs on concerns no other run.
"""

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from opentelemetry import trace
from prometheus_client import Counter, Gauge, Histogram

from trunkline.agents import Tool, ToolContext
from trunkline.bus.port import Headers
from trunkline.proto import subjects
from trunkline.proto.envelope import Envelope, Message
from trunkline.proto.errors import BadInput, TrunklineError
from trunkline.proto.tool import CancelTool, RunTool, ToolDeclined, ToolProgress, ToolResult, ToolStarted
from trunkline.record import Attempt
from trunkline.runtime.breaker import Breakers, Rules
from trunkline.runtime.threads import in_thread
from trunkline.telemetry import logs, tracing
from trunkline.telemetry.metrics import VOICE_BUCKETS_S
from trunkline.tool_runner import outcome as outcomes
from trunkline.tool_runner.admission import DeclineReason, Limits, Occupation, reason_to_decline
from trunkline.tool_runner.claiming import Away, Claimant, CutOff, Elsewhere, Held, Settled, Void
from trunkline.tool_runner.ledger import Ledger
from trunkline.tool_runner.outcome import Outcome
from trunkline.tool_runner.progress import Progress
from trunkline.tool_runner.secrecy import Secrecy

LEFT_ALONE = "what it needs failed again and again, and is left alone for a while; don't try it again now"
STOP_S = 1.0  # asynchronous tools that were told to end may take this long

log = logs.get(__name__)
_runs = Counter("trunkline_tool_runner_runs_total", "Tool calls that were run and answered", ["tool", "status"])
_declined = Counter("trunkline_tool_runner_declined_total", "Tool calls that were not run here", ["reason"])
_seconds = Histogram("trunkline_tool_runner_run_seconds", "From order to result", ["tool"], buckets=VOICE_BUCKETS_S)
_stale = Counter("trunkline_tool_runner_stale_total", "What an agent said that has lost the call, ignored")
_running = Gauge("trunkline_tool_runner_running_runs", "Runs going on now")
_lost = Gauge("trunkline_tool_runner_lost_runs", "Runs that were given up but are not over")


class Post(Protocol):
    """Exchange.post."""

    def __call__(
        self, subject: str, call: str, message: Message, *, epoch: int = 0, headers: Headers | None = None
    ) -> None: ...


class PassOn(Protocol):
    """To another runner's own inbox, under its asker's name."""

    def __call__(self, runner: str, envelope: Envelope, headers: Headers | None) -> None: ...


class Run:
    """One order being carried out. asked: by whom, last; that is who gets the answer. begun: under a claim.

    ended: set when its outcome is decided before the tool does that.
    """

    def __init__(self, order: RunTool, tool: Tool, envelope: Envelope, headers: Headers | None) -> None:
        self.order = order
        self.tool = tool
        self.call = envelope.call
        self.asked = envelope
        self.headers = headers
        self.begun = False
        self.ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def end(self, outcome: Outcome) -> None:
        if not self.ended.done():
            self.ended.set_result(outcome)


class Runner:
    """tools: by name. worker: this runner's id. post: see Exchange. result_limit_bytes: of one result with its state.

    breakers: of tools, and of the tool servers of those that have one (servers).
    wall_us: wall time in microseconds, what deadlines are in.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool],
        *,
        digest: str,
        worker: str,
        post: Post,
        pass_on: PassOn,
        claims: Claimant,
        limits: Limits,
        result_limit_bytes: Callable[[], int],
        breakers: Breakers | None = None,
        servers: Mapping[str, str] = MappingProxyType({}),
        secrecy: Secrecy | None = None,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._tools = tools
        self._digest = digest
        self._worker = worker
        self._post = post
        self._pass_on = pass_on
        self._claims = claims
        self._limits = limits
        self._breakers = breakers or Breakers("tool", Rules(failures=0), time.monotonic)
        self._servers = servers
        self._secrecy = secrecy or Secrecy()
        self._result_limit_bytes = result_limit_bytes
        self._wall_us = wall_us
        self.draining = False
        self._ledger: Ledger[Run] = Ledger()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost: dict[asyncio.Future[Outcome], Tool] = {}

    @property
    def runs(self) -> int:
        return len(self._ledger.running)

    # what arrives

    def receive(self, envelope: Envelope, headers: Headers | None) -> None:
        match envelope.message:
            case RunTool() as order:
                self._take(order, envelope, headers)
            case CancelTool(tool_call):
                self._cancel(tool_call, envelope)
            case other:
                log.warning("message is not for a tool runner", call_id=envelope.call, type=type(other).__name__)

    def _take(self, order: RunTool, envelope: Envelope, headers: Headers | None) -> None:
        attempt = Attempt(envelope.call, order.key, order.attempt)
        if finished := self._ledger.result_of(attempt):
            self._answer(envelope, finished)
        elif run := self._ledger.running.get(attempt):
            self._ask_again(run, envelope)
        elif reason := self._reason_to_decline(order):
            self._decline(order, envelope, reason)
        else:
            run = Run(order, self._tools[order.name], envelope, headers)
            self._ledger.begin(attempt, run)
            _running.set(self.runs)
            task = asyncio.get_running_loop().create_task(self._carry_out(attempt, run))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _ask_again(self, run: Run, envelope: Envelope) -> None:
        """Who asks last owns the call, but for an earlier owner that hasn't noticed yet."""
        if self._is_stale(run, envelope):
            return
        run.asked = envelope
        if run.begun:
            self._answer(envelope, ToolStarted(run.order.tool_call, self._worker))

    def _cancel(self, tool_call: str, envelope: Envelope) -> None:
        """Ends a run whose tool says that it may be stopped; any other goes on to its end."""
        for run in self._ledger.running.values():
            asked_for = run.order.tool_call == tool_call and run.call == envelope.call
            if asked_for and run.tool.cancel_on_interrupt and not self._is_stale(run, envelope):
                run.end(outcomes.cancelled(run.tool, run.order.attempt, begun=run.begun))

    def _is_stale(self, run: Run, envelope: Envelope) -> bool:
        if stale := envelope.epoch < run.asked.epoch:
            _stale.inc()
            log.info("message of an earlier owner", call_id=run.call, epoch=envelope.epoch, tool=run.tool.name)
        return stale

    def _reason_to_decline(self, order: RunTool) -> DeclineReason | None:
        runs = self._ledger.running.values()
        of_tool = sum(run.tool.name == order.name for run in runs)
        of_tool += sum(tool.name == order.name for tool in self._lost.values())
        return reason_to_decline(
            order,
            self._tools.get(order.name),
            digest=self._digest,
            draining=self.draining,
            now_us=self._wall_us(),
            occupied=Occupation(len(runs), len(self._lost), of_tool),
            limits=self._limits,
        )

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("order was not carried out", error=repr(error), exc_info=error)

    # one run

    async def _carry_out(self, attempt: Attempt, run: Run) -> None:
        """The task of one run."""
        with logs.bound(call_id=run.call, epoch=run.asked.epoch):
            try:
                await self._claim(attempt, run)
            finally:
                if attempt in self._ledger.running:  # an order that can't be claimed, by a key that is none
                    self._drop(attempt)

    async def _claim(self, attempt: Attempt, run: Run) -> None:
        match await self._claims.claim(attempt, run.asked.epoch):
            case Held() as held:
                await self._execute(attempt, run, held)
            case Settled(result):
                self._finish(attempt, run, result)
            case CutOff() as dead:
                result = self._result(run, outcomes.cut_off(run.tool), 0.0)
                await self._claims.settle(attempt, dead.stored, result)
                self._finish(attempt, run, result)
            case Elsewhere(runner):
                self._drop(attempt)
                self._pass_on(runner, run.asked, run.headers)
                self._answer(run.asked, ToolStarted(run.order.tool_call, runner))
            case Void():
                self._drop(attempt)
                self._decline(run.order, run.asked, "expired")
            case Away():
                self._drop(attempt)
                self._decline(run.order, run.asked, "busy")

    async def _execute(self, attempt: Attempt, run: Run, held: Held) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        span = _span(run, run.headers)
        with trace.use_span(span, end_on_exit=True):
            outcome = await self._secrecy.covered(run.call, await self._outcome(run))
            elapsed_s = loop.time() - started_s
            _tell(run, outcome, elapsed_s, span)
        result = self._result(run, outcome, elapsed_s)
        await self._claims.settle(attempt, held.stored, result)
        _runs.labels(tool=run.tool.name, status=outcome.status).inc()
        _seconds.labels(tool=run.tool.name).observe(elapsed_s)
        self._finish(attempt, run, result)

    def _result(self, run: Run, outcome: Outcome, elapsed_s: float) -> ToolResult:
        tool_call, elapsed_ms = run.order.tool_call, elapsed_s * 1000
        return ToolResult(tool_call, outcome.status, outcome.output, self._worker, elapsed_ms, outcome.state_patch)

    async def _outcome(self, run: Run) -> Outcome:
        """The tool's own, or an earlier end: its time is over, or this runner stops."""
        order, tool = run.order, run.tool
        try:
            order = await self._secrecy.revealed(run.call, order)
        except TrunklineError as error:
            return _not_run(run, str(error))
        limit_s = min(tool.timeout_s, (order.deadline_us - self._wall_us()) / 1e6)
        if run.ended.done():
            return run.ended.result()
        if limit_s <= 0:
            return _not_run(run, "its time was over before it could begin")
        run.begun = True
        self._answer(run.asked, ToolStarted(order.tool_call, self._worker))
        progress = Progress(lambda text: self._tell_progress(run, text))
        try:
            context = ToolContext(run.call, order.key, order.deadline_us / 1e6, order.state, progress.report, order.pin)
            bound = tool.bind(order.arguments, context)
        except BadInput as error:
            return outcomes.misfit(tool, error)
        except Exception as error:  # a rim: a state that is no object, or a type of the tool's own that raises
            return outcomes.raised(tool, error)
        guarded = self._servers.get(tool.name, tool.name)
        try:
            if not self._breakers.lets_through(guarded):
                return _not_run(run, LEFT_ALONE)
            outcome = await self._ending(run, self._start(tool, bound, context), limit_s)
            self._learn(guarded, outcome)
            return outcome
        finally:
            progress.close()

    def _learn(self, guarded: str, outcome: Outcome) -> None:
        if outcome.outage:
            self._breakers.failed(guarded, outcome.output)
        elif outcome.status == "ok":
            self._breakers.succeeded(guarded)
        else:
            self._breakers.left(guarded)

    def _tell_progress(self, run: Run, text: str) -> None:
        self._answer(run.asked, ToolProgress(run.order.tool_call, self._secrecy.covered_words(run.call, text)))

    async def _ending(self, run: Run, work: asyncio.Future[Outcome], limit_s: float) -> Outcome:
        await asyncio.wait({work, run.ended}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        self._give_up(work, run.tool)
        return run.ended.result() if run.ended.done() else outcomes.timed_out(run.tool, limit_s)

    def _start(self, tool: Tool, bound: Callable[[], object], context: ToolContext) -> asyncio.Future[Outcome]:
        limit_bytes = self._result_limit_bytes()
        if tool.asynchronous:
            return asyncio.get_running_loop().create_task(_awaited(tool, bound, context, limit_bytes))
        return in_thread(lambda: _called(tool, bound, context, limit_bytes), f"tool-{tool.name}")

    def _give_up(self, work: asyncio.Future[Outcome], tool: Tool) -> None:
        """A task is told to end; a thread can't be, and counts until its function returns by itself."""
        self._lost[work] = tool
        _lost.set(len(self._lost))
        work.add_done_callback(self._over)
        if isinstance(work, asyncio.Task):
            work.cancel()
        else:
            log.warning("tool hangs", tool=tool.name, lost_runs=len(self._lost))

    def _over(self, work: asyncio.Future[Outcome]) -> None:
        del self._lost[work]
        _lost.set(len(self._lost))

    # what is answered

    def _finish(self, attempt: Attempt, run: Run, result: ToolResult) -> None:
        self._ledger.finish(attempt, result)
        _running.set(self.runs)
        self._answer(run.asked, result)

    def _drop(self, attempt: Attempt) -> None:
        self._ledger.drop(attempt)
        _running.set(self.runs)

    def _decline(self, order: RunTool, asked: Envelope, reason: DeclineReason) -> None:
        _declined.labels(reason=reason).inc()
        tell = log.warning if reason == "digest" else log.info  # else this runner can do nothing for that agent
        tell("tool call declined", call_id=asked.call, tool=order.name, reason=reason)
        self._answer(asked, ToolDeclined(order.tool_call, reason, self._worker))

    def _answer(self, asked: Envelope, message: Message) -> None:
        self._post(subjects.inbox_of(asked.sender, asked.call), asked.call, message, epoch=asked.epoch)

    # the end

    async def drain(self, grace_s: float) -> None:
        """Takes no new order; returns when the last run is over or after grace_s."""
        self.draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)

    async def stop(self) -> None:
        """Answers what still runs, honestly: nobody knows how far it got."""
        self.draining = True
        for run in self._ledger.running.values():
            run.end(outcomes.cut_off(run.tool) if run.begun else _not_run(run, "its runner stopped"))
        if self._tasks:
            await asyncio.wait(self._tasks)
        tasks = [work for work in self._lost if isinstance(work, asyncio.Task)]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)


def _not_run(run: Run, why: str) -> Outcome:
    return outcomes.not_run(run.tool, why, run.order.attempt)


async def _awaited(tool: Tool, bound: Callable[[], object], context: ToolContext, limit_bytes: int) -> Outcome:
    try:
        value = await bound()  # type: ignore[misc]  # the function is a coroutine function: Tool.asynchronous
    except BaseException as error:  # a rim: a tool is anybody's code, SystemExit and cancellation included
        return outcomes.raised(tool, error)
    return outcomes.returned(tool, value, context, limit_bytes)


def _called(tool: Tool, bound: Callable[[], object], context: ToolContext, limit_bytes: int) -> Outcome:
    try:
        value = bound()
    except BaseException as error:  # a rim, as above
        return outcomes.raised(tool, error)
    return outcomes.returned(tool, value, context, limit_bytes)


def _span(run: Run, headers: Headers | None) -> tracing.Span:
    """Names and attributes: OpenTelemetry semantic conventions for generative AI, `execute_tool`."""
    parent = tracing.extract(headers) or tracing.call_context(run.call)
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": run.tool.name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": run.order.tool_call,
    }
    return tracing.start_span(f"execute_tool {run.tool.name}", parent=parent, attributes=attributes)


def _tell(run: Run, outcome: Outcome, elapsed_s: float, span: tracing.Span) -> None:
    if outcome.error is not None:
        trace_back = "".join(traceback.format_exception(outcome.error))
        log.warning("tool failed", tool=run.tool.name, traceback=trace_back)
    log.info("tool run", tool=run.tool.name, status=outcome.status, elapsed_ms=round(elapsed_s * 1000, 3))
    span.set_attribute("trunkline.tool.status", outcome.status)
    if outcome.status != "ok":
        span.set_attribute("error.type", outcome.status)
        span.set_status(trace.StatusCode.ERROR)
