"""Carries out the plan: at each fault's time it finds a victim among the stage's processes, and signals it."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Sequence

from trunkline.cli.chaos.evidence import Fault, Target
from trunkline.cli.chaos.plan import Planned
from trunkline.cli.chaos.watch import Watch
from trunkline.cli.stack import ALONE
from trunkline.proto.placement import Beat

AIM_LIMIT_S = 2.0  # then whoever holds calls is hit, in mid-turn or not
WAITING = 0.5  # of the faults that are aimed at agents
ANY_LIMIT_S = 8.0  # for a stage to have a process at all
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}


class Faults:
    """changed: set whenever watch has learned something. nats_pid: of the server that runs now, 0 for none."""

    def __init__(self, watch: Watch, changed: asyncio.Event, nats_pid: Callable[[], int], seed: int) -> None:
        self.done: list[Fault] = []
        self.missed: list[Planned] = []  # nobody was there to be hit
        self._watch = watch
        self._changed = changed
        self._nats_pid = nats_pid
        self._random = random.Random(f"faults {seed}")
        self._spared: set[int] = set()  # processes that are stopped or asked to end already

    async def carry_out(self, plan: Sequence[Planned]) -> None:
        """Returns when the last fault is over. Cancelled, it lets every stopped process go on."""
        began_s = time.time()
        async with asyncio.TaskGroup() as group:
            for planned in plan:
                await asyncio.sleep(max(0.0, began_s + planned.at_s - time.time()))
                victim = await self._find(planned)
                fault = self._strike(planned, victim) if victim is not None else None
                if fault is None:
                    self.missed.append(planned)
                elif planned.kind == "stop":
                    group.create_task(self._continue_later(fault, planned.stop_s))
                else:
                    self.done.append(fault)

    async def _find(self, planned: Planned) -> Beat | None:
        """Of agents that are aimed at, half of the time one in whose calls something waits for a person."""
        began_s = time.time()
        by_waiting = planned.stage == "agent" and planned.aimed and self._random.random() < WAITING
        while (waited_s := time.time() - began_s) < ANY_LIMIT_S:
            there = [beat for beat in self._there(planned.stage) if beat.pid not in self._spared]
            waiting = [beat for beat in there if self._watch.waiting(beat)]
            busy = waiting if by_waiting else [beat for beat in there if self._watch.mid_turn(beat)]
            if planned.aimed and busy:
                return self._random.choice(busy)
            if there and (not planned.aimed or waited_s > AIM_LIMIT_S):
                return self._random.choice([beat for beat in there if self._watch.held(beat)] or there)
            self._changed.clear()
            await self._changed.wait()
        return None

    def _there(self, stage: Target) -> list[Beat]:
        if stage != "nats":
            return self._watch.workers(stage, time.time())
        pid = self._nats_pid()
        return [Beat("nats", ALONE, 0, 0, False, "", pid=pid)] if pid else []

    def _strike(self, planned: Planned, victim: Beat) -> Fault | None:
        """None if it has just ended by itself."""
        held, mid_turn = self._watch.held(victim), self._watch.mid_turn(victim)
        waiting = self._watch.waiting(victim)
        at_s = time.time()
        self._spared.add(victim.pid)
        try:
            os.kill(victim.pid, SIGNALS[planned.kind])
        except ProcessLookupError:
            return None
        return Fault(
            planned.kind,
            planned.stage,
            victim.worker,
            victim.pid,
            at_s,
            at_s + planned.stop_s if planned.stop_s else 0.0,
            held,
            mid_turn,
            waiting,
        )

    async def _continue_later(self, fault: Fault, stop_s: float) -> None:
        try:
            await asyncio.sleep(stop_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(fault.pid, signal.SIGCONT)
            self._spared.discard(fault.pid)
            self.done.append(fault)
