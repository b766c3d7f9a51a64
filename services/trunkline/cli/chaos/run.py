"""One run: a stack, callers, faults; it ends with the evidence of what happened, which it doesn't judge."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from trunkline.cli.chaos import collect, scene, visitors
from trunkline.cli.chaos.backend import Backend
from trunkline.cli.chaos.callers import Order, Outcome
from trunkline.cli.chaos.checker import restless
from trunkline.cli.chaos.collect import Figures
from trunkline.cli.chaos.evidence import CallEvidence, CallOutcome, Evidence, Fault, Resting, Run
from trunkline.cli.chaos.faults import Faults
from trunkline.cli.chaos.node_faults import NodeFaults
from trunkline.cli.chaos.people import People
from trunkline.cli.chaos.plan import LEAD_S, TAIL_S, Planned
from trunkline.cli.chaos.rolling import STEP_LIMIT_S, Rolling
from trunkline.cli.chaos.stage import StageUnderTest
from trunkline.cli.chaos.watch import Told, Watch
from trunkline.cli.errors import CommandFailed
from trunkline.cli.stack import Address
from trunkline.proto.placement import Beat

CALLERS_PER_PROCESS = 30
CALLERS_LIMIT_S = 120.0  # beyond the run's seconds
LATE_MS = 25.0  # 99th percentile of the callers' lateness, from which on gaps are the machine's
REST_LIMIT_S = 40.0  # the last words to a process that was only stopped are carried for 30 s
REST_POLL_S = 1.0
_told = msgspec.json.Decoder(Told)


class Asked(NamedTuple):
    """node_plan: of a cluster's nodes. rolling: everything is replaced once instead, and it takes seconds at least."""

    calls: int
    seconds: float
    seed: int
    plan: list[Planned]
    directory: Path
    nats_nodes: int = 1
    node_plan: Sequence[Planned] = ()
    rolling: bool = False

    @property
    def visited(self) -> bool:
        """New calls are what a node's fault may keep waiting: there are more of them then."""
        return bool(self.node_plan)


class Held(NamedTuple):
    """What a run came to: its evidence, and whether the machine kept up.

    missed: faults that found nobody to hit. cpu_s: of the stack and the callers.
    """

    evidence: Evidence
    lateness_p99_ms: float
    missed: int
    cpu_s: float = 0.0

    @property
    def valid(self) -> bool:
        return self.lateness_p99_ms <= LATE_MS


async def hold(asked: Asked) -> Held:
    """Raises CommandFailed."""
    backend = Backend(asked.seed)
    await backend.start()
    try:
        at_once = asked.calls + (visitors.AT_ONCE if asked.visited else 0)
        async with StageUnderTest(asked.directory, at_once, backend.url, asked.nats_nodes) as stage:
            backend.on_running, backend.on_run = stage.watch.on_running, stage.watch.on_run
            held = await _hold(asked, stage, backend)
    finally:
        await backend.stop()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of those that have ended: by now all
    return held._replace(cpu_s=round(used.ru_utime + used.ru_stime, 1))


async def _hold(asked: Asked, stage: StageUnderTest, backend: Backend) -> Held:
    before = await collect.figures(stage.workers())
    workers = stage.workers()
    stages = {beat.worker: beat.stage for beat in workers}
    attack = _Attack(asked, stage, workers)
    callers = [_Callers(asked, stage, numbers, at) for at, numbers in enumerate(_shares(asked.calls))]
    people = People(stage.file.url, stage.file.key, asked.seed, stage.watch.on_waiting)
    deciding = asyncio.create_task(people.run(), name="chaos-people")
    attacking = asyncio.create_task(attack.carry_out(callers), name="chaos-faults")
    try:
        outcomes = await asyncio.gather(*(each.outcome(attack.limit_s) for each in callers))
    finally:
        for task in (attacking, deciding):
            task.cancel()
        await asyncio.gather(attacking, deciding, return_exceptions=True)
        for each in callers:
            await each.end()
    for task in (attacking, deciding):
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error
    if len(stage.cluster.nodes) > 1:
        await stage.whole()  # what is read of a shard in election may be old
    calls = await _collect(stage, [call for outcome in outcomes for call in outcome.calls])
    visits = await _collect(stage, [call for outcome in outcomes for call in outcome.visits])
    resting = await _rest(stage, before, stages)
    refused = [reason for outcome in outcomes for reason in outcome.refused]
    away = [reason for outcome in outcomes for reason in outcome.visits_refused]
    forbidden = list(scene.FORBIDDEN)
    run = Run(attack.done, backend.effects, resting, refused, people.told, forbidden, attack.to_replace, away)
    late_ms = float(np.percentile([late for outcome in outcomes for late in outcome.lateness_ms], 99))
    return Held(Evidence(calls, run, visits), round(late_ms, 1), attack.missed)


class _Attack:
    """What is done to the stack, beside its callers."""

    def __init__(self, asked: Asked, stage: StageUnderTest, workers: list[Beat]) -> None:
        self._asked = asked
        self._workers = workers
        self._faults = Faults(stage.watch, stage.changed, stage.nats_pid, asked.seed)
        self._nodes = NodeFaults(stage.cluster, stage.nats_pid, stage.watch, asked.seed)
        self._rolling = Rolling(stage.watch, stage.changed, stage.cluster, self._nodes)
        nodes = [node.name for node in stage.cluster.nodes]
        self.to_replace = [*(worker.worker for worker in workers), *nodes] if asked.rolling else []

    @property
    def limit_s(self) -> float:
        """For the callers to end."""
        steps_s = STEP_LIMIT_S * len(self.to_replace)
        return max(self._asked.seconds, steps_s) + CALLERS_LIMIT_S

    @property
    def done(self) -> list[Fault]:
        done = [*self._faults.done, *self._nodes.done, *self._rolling.done]
        return sorted(done, key=lambda fault: fault.at_s)

    @property
    def missed(self) -> int:
        return len(self._faults.missed) + len(self._nodes.missed)

    async def carry_out(self, callers: Sequence["_Callers"]) -> None:
        """A rolling restart begins once its callers have called, and tells them when it is over."""
        if self._asked.rolling:
            try:
                await asyncio.sleep(LEAD_S)
                await self._rolling.replace(self._workers)
                await asyncio.sleep(TAIL_S)
            finally:
                for each in callers:
                    each.enough()
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._faults.carry_out(self._asked.plan))
                group.create_task(self._nodes.carry_out(self._asked.node_plan))


async def _rest(stage: StageUnderTest, before: Mapping[str, Figures], stages: dict[str, str]) -> list[Resting]:
    """Once all processes are there and at rest, or REST_LIMIT_S is over. stages: of the workers in before."""
    await stage.whole()
    give_up_s = time.monotonic() + REST_LIMIT_S
    while True:
        stages |= {beat.worker: beat.stage for beat in stage.workers()}
        resting = collect.at_rest(stages, before, await collect.figures(stage.workers()))
        if time.monotonic() > give_up_s or not any(True for one in resting for _ in restless(one)):
            return resting
        await asyncio.sleep(REST_POLL_S)


async def _collect(stage: StageUnderTest, calls: list[CallOutcome]) -> list[CallEvidence]:
    records = collect.Records(stage.bus)
    await records.start()
    try:
        await records.ended(call.call for call in calls)
        found = []
        for call in calls:
            entries = await records.read(call.call)
            found.append(CallEvidence(call.call, entries, call.account, await records.claims(call.call, entries)))
        return found
    finally:
        await records.stop()


def _shares(calls: int) -> list[list[int]]:
    return [list(range(at, min(at + CALLERS_PER_PROCESS, calls))) for at in range(0, calls, CALLERS_PER_PROCESS)]


class _Callers:
    """A process of callers: what they are doing comes line by line, what came of it as a file at the end."""

    def __init__(self, asked: Asked, stage: StageUnderTest, numbers: list[int], at: int) -> None:
        address = Address(stage.file.url, stage.file.key)
        self._out = asked.directory / f"callers-{at}.json"
        self._order = asked.directory / f"order-{at}.json"
        order = Order(address.realtime, address.key, numbers, asked.seconds, asked.seed, str(self._out), asked.rolling)
        order.visitors = asked.visited and at == 0
        self._order.write_bytes(msgspec.json.encode(order))
        self._log = asked.directory / f"callers-{at}.log"
        self._watch: Watch = stage.watch
        self._changed = stage.changed
        self._process: asyncio.subprocess.Process | None = None

    async def outcome(self, limit_s: float) -> Outcome:
        """Raises CommandFailed."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "trunkline.cli.chaos.callers", str(self._order)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # for a priority of its own
                env={"OPENBLAS_NUM_THREADS": "1", **os.environ},
            )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(limit_s):
                async for line in self._process.stdout:
                    self._watch.on_told(_told.decode(line))
                    self._changed.set()
                status = await self._process.wait()
        except TimeoutError:
            raise CommandFailed(f"the callers didn't end within {limit_s:g} s (log: {self._log})") from None
        if status:
            raise CommandFailed(f"the callers ended with status {status} (log: {self._log})")
        return msgspec.json.decode(self._out.read_bytes(), type=Outcome)

    def enough(self) -> None:
        """They take no further turn, where their end is open."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
