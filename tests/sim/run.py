"""One seed from its plan to what it left behind, and whether that is what was promised."""

import asyncio
import dataclasses
import gc
import logging
import os
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

from aiohttp import web

from sim import outside
from sim.acts import FORBIDDEN
from sim.caller import Caller
from sim.history import FaultPlan, History, Vanishing
from sim.loop import SimLoop, State
from sim.sockets import ClientSession, Runner, ServerAnswer, ServerSocket, listen
from sim.sound import Narrow, narrow_together
from sim.world import EPOCH_S, Worker, World
from trunkline.agents import AgentFile, load_agent_file
from trunkline.cli.chaos.checker import check
from trunkline.cli.chaos.evidence import CallEvidence, Claimed, Effect, Evidence, Fault, Recorded, Resting, Run
from trunkline.cli.chaos.facts import Violation
from trunkline.client import call as client_call
from trunkline.gateway import edge
from trunkline.gateway import service as gateway_service
from trunkline.gateway.listening import EchoCheck
from trunkline.placement.roster import Roster
from trunkline.proto import ids
from trunkline.proto.record import decode_entry
from trunkline.runtime import process as process_module
from trunkline.tool_runner import service as tool_runner_service

HERE = Path(__file__).parent
DESK, POLICED_DESK = HERE / "desk.py", HERE / "policed_desk.py"
EXPECTED = ("Fenced", "StoreUnavailable")  # errors that a rim is there for: another worker goes on
REST_LIMIT_S = 45.0  # for a call's end to be recorded and every slot to be free: adoption takes several windows


@contextmanager
def at_ease() -> Iterator[None]:
    """For many histories in one process: the collector looks at what a few of them left, not at all modules."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Outcome(NamedTuple):
    """digest: of all that happened; the same seed gives the same."""

    history: History
    evidence: Evidence
    violations: list[Violation]
    digest: str
    virtual_s: float


def simulate(history: History) -> Outcome:
    loop = SimLoop()
    world = World(history, loop, _agent_file(history.agent))
    with _from_seed(history.seed, loop), _simulated(world):
        errors = _Errors()
        with errors.heard():
            try:
                caller, faults = loop.run(_live(world))
            finally:
                errors.deaf = True
                loop.finish()
        evidence = _evidence(world, caller, faults)
    violations = check(evidence)
    for problem in (*errors.found, *loop.faults):
        violations.append(Violation("nothing_breaks", caller.call_id, problem))
    digest = f"{loop.steps}-{loop.now_s:.9f}-{world.network.digest:08x}"
    return Outcome(history, evidence, violations, digest, loop.now_s)


@contextmanager
def _simulated(world: World) -> Iterator[None]:
    """What is a socket, or blurs what samples tell, is another thing here."""
    session = SimpleNamespace(ClientSession=lambda connector: ClientSession(world.front))
    with (
        mock.patch.object(web, "AppRunner", Runner),
        mock.patch.object(gateway_service, "Lobby", world.front.lobby),
        mock.patch.object(SimLoop, "create_server", listen),
        mock.patch.multiple(web, WebSocketResponse=ServerSocket, StreamResponse=ServerAnswer),
        mock.patch.multiple(client_call, aiohttp=session, fresh_connections=lambda: None),
        mock.patch.object(
            gateway_service, "Roster", lambda now_s, **given: Roster(now_s, random.Random(world.rng.random()), **given)
        ),
        mock.patch.multiple(edge, Resampler=Narrow, push_together=narrow_together),
        mock.patch.object(EchoCheck, "verdict", return_value=False),
    ):
        yield


async def _live(world: World) -> tuple[Caller, list[Fault]]:
    history = world.history
    await world.start()
    caller = Caller(world, history)
    faults: list[Fault] = []
    befalling = [world.loop.create_task(_befall(world, caller, fault, faults)) for fault in history.faults]
    if history.vanishing is not None:
        befalling.append(world.loop.create_task(_vanish(caller, history.vanishing)))
    await caller.run()
    for one in befalling:
        if not one.done():
            one.cancel()
    await _rest(world)
    return caller, faults


async def _befall(world: World, caller: Caller, plan: FaultPlan, faults: list[Fault]) -> None:
    await caller.reach(plan.turn, plan.moment).wait()
    await asyncio.sleep(plan.after_s)
    worker = _target(world, caller, plan)
    if worker is None:
        return
    held = [caller.call_id] if caller.call_id and worker.alive and worker.calls else []
    faults.append(
        Fault(plan.kind, plan.stage, worker.name, 0, world.wall_s(), world.wall_s() + plan.lasts_s, held, held)
    )
    await asyncio.shield(asyncio.ensure_future(world.befall(worker, plan.kind, plan.lasts_s)))


async def _vanish(caller: Caller, plan: Vanishing) -> None:
    await caller.reach(plan.turn, plan.moment).wait()
    await asyncio.sleep(plan.after_s)
    caller.vanish()


def _target(world: World, caller: Caller, plan: FaultPlan) -> Worker | None:
    """Who has the call at that stage, or anybody of it."""
    there = world.of(plan.stage)
    having = [worker for worker in there if worker.process.ready and worker.calls]
    if plan.anyone or not having:
        return world.rng.choice(there) if there else None
    return max(having, key=lambda worker: worker.life.state is State.RUNS)


async def _rest(world: World) -> None:
    """Until nobody has the call any more; who still has it after that long is told by the evidence."""
    for _ in range(round(REST_LIMIT_S / 0.1)):
        await asyncio.sleep(0.1)
        if world.kept.calls_ended() and not any(worker.calls for worker in world.alive()):
            break
    await asyncio.sleep(0.2)


def _evidence(world: World, caller: Caller, faults: list[Fault]) -> Evidence:
    calls = []
    if call := caller.call_id:
        entries = [
            Recorded(stored.seq, decode_entry(stored.data), EPOCH_S + world.kept.stored_s[stored.seq])
            for stored in world.kept.entries_of(call)
        ]
        claims = [
            Claimed(attempt.key, attempt.number, stored.claim)
            for attempt, stored in world.kept.claims.claims.items()
            if attempt.call == call
        ]
        calls.append(CallEvidence(call, entries, caller.account(), claims))
    effects = [Effect(done.key, done.arguments, EPOCH_S + done.at_s, done.repeatable) for done in outside.done]
    resting = [Resting(worker.name, "calls", 0, worker.calls) for worker in world.alive()]
    refused = [caller.problem] if not caller.call_id else []
    forbidden = list(FORBIDDEN) if world.history.agent else []
    return Evidence(calls, Run(faults, effects, resting, refused, world.people.told, forbidden))


class _Errors(logging.Handler):
    """What a rim had to contain: nobody else would notice."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []
        self.deaf = False  # to what is said when everything is taken down

    def emit(self, record: logging.LogRecord) -> None:
        if self.deaf:
            return
        facts = getattr(record, "facts", {})
        if record.exc_info and not str(facts.get("error")).startswith(EXPECTED):
            formatted = logging.Formatter().formatException(record.exc_info) if record.exc_info[0] else ""
            self.found.append(f"{record.getMessage()} {facts} {formatted}")

    @contextmanager
    def heard(self) -> Iterator[None]:
        logger = logging.getLogger("trunkline")
        before = logger.level, logger.propagate
        logger.addHandler(self)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.setLevel(before[0])
            logger.propagate = before[1]


@contextmanager
def _from_seed(seed: int, loop: SimLoop) -> Iterator[None]:
    """Nothing is random but by the seed, and no clock but the loop's."""
    outside.done.clear()
    rng = random.Random(seed + 3)
    numbers = iter(range(1, 1_000_000))
    before = time.time_ns, time.time, ids._random, process_module.gc, os.getpid
    chances = secrets.choice, secrets.randbits, secrets.token_hex
    random.seed(seed)
    time.time_ns = lambda: (EPOCH_S * 1_000_000 + round(loop.now_s * 1e6)) * 1000
    time.time = lambda: EPOCH_S + loop.now_s
    secrets.choice = rng.choice  # type: ignore[assignment]
    secrets.randbits = rng.getrandbits  # type: ignore[assignment]
    secrets.token_hex = lambda size=None: f"{next(numbers):08d}"
    ids._random = lambda length: f"{next(numbers):06d}"
    os.getpid = lambda: 1
    process_module.gc = _NoGc()  # type: ignore[assignment]
    tool_runner_service.load_agent_file = _loaded  # type: ignore[attr-defined]
    try:
        yield
    finally:
        time.time_ns, time.time, ids._random, process_module.gc, os.getpid = before
        secrets.choice, secrets.randbits, secrets.token_hex = chances
        tool_runner_service.load_agent_file = load_agent_file  # type: ignore[attr-defined]


class _NoGc:
    def collect(self) -> None:
        """A process of its own would; many in one must not."""

    def freeze(self) -> None:
        """Likewise."""


_files: dict[Path, AgentFile] = {}


def _agent_file(agent: str) -> AgentFile:
    """agent: as in a History."""
    file = _loaded(str(POLICED_DESK if agent else DESK))
    return dataclasses.replace(file, default=file.agents[agent]) if agent else file


def _loaded(spec: str) -> AgentFile:
    path = Path(spec)
    if path not in _files:
        _files[path] = load_agent_file(spec)
    return _files[path]
