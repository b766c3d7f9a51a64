"""A rolling restart, as a deploy does it: each process in turn is asked to end; its successor is ready before the next.

Services end by SIGTERM, nodes by lame duck. Nothing waits for a guess of time: a process's end is seen at the process,
a worker is ready when it beats, a node when the cluster is whole.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence

import msgspec

from trunkline.cli.chaos.cluster import Cluster
from trunkline.cli.chaos.evidence import Fault
from trunkline.cli.chaos.node_faults import NodeFaults
from trunkline.cli.chaos.process_end import ended
from trunkline.cli.chaos.watch import Watch
from trunkline.proto.placement import Beat
from trunkline.proto.subjects import STAGES, Stage

STEP_LIMIT_S = 60.0  # for one process to end and its successor to be ready; a node in lame duck takes 30 s


class Rolling:
    """changed: set whenever watch has learned something."""

    def __init__(self, watch: Watch, changed: asyncio.Event, cluster: Cluster, nodes: NodeFaults) -> None:
        self.done: list[Fault] = []
        self._watch = watch
        self._changed = changed
        self._cluster = cluster
        self._nodes = nodes

    async def replace(self, workers: Sequence[Beat]) -> None:
        """These workers, stage by stage, then the nodes. What isn't done within its limit ends it: the rest stays as it
        is, as a deploy stands still then."""
        for stage in STAGES:
            for worker in (worker for worker in workers if worker.stage == stage):
                if not await self._worker(stage, worker):
                    return
        for node in self._cluster.nodes:
            try:
                async with asyncio.timeout(STEP_LIMIT_S):
                    view = await self._cluster.until(lambda view: view.whole)
                    await self._nodes.strike(node, view, "term")
            except TimeoutError:
                return

    async def _worker(self, stage: Stage, worker: Beat) -> bool:
        """Whether its successor is ready. Of one that ended before its turn nothing is told."""
        held, mid_turn, waiting = (of(worker) for of in (self._watch.held, self._watch.mid_turn, self._watch.waiting))
        before = self._watch.known
        at_s = time.time()
        try:
            os.kill(worker.pid, signal.SIGTERM)
        except ProcessLookupError:
            return True
        fault = Fault("term", stage, worker.worker, worker.pid, at_s, 0.0, held, mid_turn, waiting)
        ended_s = ready_s = 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STEP_LIMIT_S):
                await ended(worker.pid)
                ended_s = time.time()
                ready_s = await self._successor(worker, before)
        self.done.append(msgspec.structs.replace(fault, ended_s=ended_s, ready_s=ready_s))
        return ready_s > 0

    async def _successor(self, worker: Beat, before: frozenset[str]) -> float:
        """When a worker of its stage was heard that wasn't there before."""
        while all(beat.worker in before for beat in self._watch.workers(worker.stage, time.time())):
            self._changed.clear()
            await self._changed.wait()
        return time.time()
