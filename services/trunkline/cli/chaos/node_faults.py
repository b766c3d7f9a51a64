"""Carries out the plan's faults of NATS nodes: one node at a time, and the next only once the cluster is whole again.

So a quorum is never lost by us; that the cluster is whole is known from its monitoring. What came of a fault is
watched until then: who used the node and where they are now, and when every shard had a leader again.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Sequence

import msgspec

from trunkline.cli.chaos.cluster import LOOK_S, Cluster, View
from trunkline.cli.chaos.evidence import Fault, FaultKind, Moved
from trunkline.cli.chaos.plan import Planned
from trunkline.cli.chaos.process_end import ended
from trunkline.cli.chaos.watch import Watch, stage_of
from trunkline.cli.stack import NatsNode
from trunkline.proto.placement import Beat
from trunkline.proto.subjects import STAGES

AIM_LIMIT_S = 2.0  # then any node is hit
BY_LEADER = 0.5  # of the faults that are aimed
UNSEEN_S = 8.0  # who wasn't seen to connect anew for so long, hasn't
# SIGTERM ends a node at once; SIGUSR2 is its drain (lame duck). Source: nats-server, --signal ldm.
NODE_SIGNALS: dict[FaultKind, signal.Signals] = {
    "kill": signal.SIGKILL,
    "stop": signal.SIGSTOP,
    "term": signal.SIGUSR2,
}


class NodeFaults:
    """pid: of a node's process that runs now, 0 for none."""

    def __init__(self, cluster: Cluster, pid: Callable[[NatsNode], int], watch: Watch, seed: int) -> None:
        self.done: list[Fault] = []
        self.missed: list[Planned] = []
        self._cluster = cluster
        self._pid = pid
        self._watch = watch
        self._random = random.Random(f"node faults {seed}")

    async def carry_out(self, plan: Sequence[Planned]) -> None:
        """Returns when the last fault is over. Cancelled, it lets a stopped node go on, and tells what it has seen."""
        began_s = time.time()
        self.missed = list(plan)
        for planned in plan:
            await asyncio.sleep(max(0.0, began_s + planned.at_s - time.time()))
            node, view = await self._find(planned)
            await self.strike(node, view, planned.kind, planned.stop_s)
            self.missed.remove(planned)

    async def strike(self, node: NatsNode, view: View, kind: FaultKind, stop_s: float = 0.0) -> Fault:
        """view: the cluster as it is, whole. Returns when it is whole again."""
        beat = self._as_beat(node)
        assert beat.pid, node.name  # it answers; and 0 would be ourselves
        self._watch.on_nodes(view.users, view.leaders)
        held, mid_turn, led = self._watch.held(beat), self._watch.mid_turn(beat), self._watch.led(beat)
        at_s = time.time()
        os.kill(beat.pid, NODE_SIGNALS[kind])
        until_s = at_s + stop_s if kind == "stop" else 0.0
        fault = Fault(kind, "nats", node.name, beat.pid, at_s, until_s, held, mid_turn, led=led)
        users = [name for name in view.nodes[node.name].users if stage_of(name) in STAGES]
        aftermath = _Aftermath(fault, users)
        over = asyncio.create_task(_over(fault, stop_s), name="chaos-node-over")
        try:
            was_over = whole = False
            while not (was_over and whole):
                await asyncio.sleep(LOOK_S)
                was_over = over.done()
                whole = await self._look(aftermath)
        finally:
            over.cancel()
            await asyncio.gather(over, return_exceptions=True)
            self.done.append(aftermath.fault(over.result() if not over.cancelled() else 0.0))
        return self.done[-1]

    async def _look(self, aftermath: "_Aftermath") -> bool:
        """Whether the cluster is whole."""
        view = await self._cluster.look()
        self._watch.on_nodes(view.users, view.leaders)
        aftermath.on_view(view)
        return view.whole

    async def _find(self, planned: Planned) -> tuple[NatsNode, View]:
        """Of nodes that are aimed at, half the time one that leads a live call's shard, else one that a call uses."""
        by_leader = planned.aimed and self._random.random() < BY_LEADER
        whole_s = 0.0
        while True:
            view = await self._cluster.until(lambda view: view.whole)
            whole_s = whole_s or time.time()
            self._watch.on_nodes(view.users, view.leaders)
            there = [(node, self._as_beat(node)) for node in self._cluster.nodes]
            of = self._watch.led_mid_turn if by_leader else self._watch.mid_turn
            aimed_at = [node for node, beat in there if of(beat)]
            if planned.aimed and aimed_at:
                return self._random.choice(aimed_at), view
            if not planned.aimed or time.time() - whole_s > AIM_LIMIT_S:
                return self._random.choice(self._cluster.nodes), view
            await asyncio.sleep(LOOK_S)

    def _as_beat(self, node: NatsNode) -> Beat:
        return Beat("nats", node.name, 0, 0, False, "", pid=self._pid(node))


async def _over(fault: Fault, stop_s: float) -> float:
    """Until the node's process has ended, or goes on; it does in any case. Returns when."""
    if fault.kind != "stop":
        await ended(fault.pid)
        return time.time()
    try:
        await asyncio.sleep(stop_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(fault.pid, signal.SIGCONT)
    return time.time()


class _Aftermath:
    """What is seen of a fault from outside. Pure."""

    def __init__(self, fault: Fault, users: Sequence[str]) -> None:
        self._fault = fault
        self._moved = dict.fromkeys(users, 0.0)
        self._led_s = self._ready_s = self._seen_s = 0.0

    def on_view(self, view: View) -> None:
        self._seen_s = view.at_s
        for worker in [worker for worker, at_s in self._moved.items() if not at_s]:
            self._moved[worker] = view.connected_since(worker, self._fault.at_s)
        self._led_s = (self._led_s or view.at_s) if view.led else 0.0
        self._ready_s = view.at_s if view.whole else 0.0

    def fault(self, ended_s: float) -> Fault:
        """ended_s: of its process; 0 if it hasn't."""
        known = self._seen_s > self._fault.at_s + UNSEEN_S
        return msgspec.structs.replace(
            self._fault,
            moved=[Moved(worker, at_s) for worker, at_s in self._moved.items() if at_s or known],
            led_s=self._led_s,
            ended_s=ended_s,
            ready_s=self._ready_s if ended_s else 0.0,
        )
