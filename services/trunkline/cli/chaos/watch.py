"""Who holds which call, and which calls are in mid-turn where, so that faults can be aimed. Pure.

Told by beats (who is there), the gateways' logs (who was placed), the callers (what they are doing), the tools' back
end and a cluster's monitoring. The bus itself is not listened to: one more listener at every inbox, and nobody would
miss a dead worker.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from trunkline.proto import subjects
from trunkline.proto.ids import shard_of
from trunkline.proto.placement import Beat

ALIVE_S = 1.0  # a worker that was heard within so long is there


class Doing(StrEnum):
    """What a caller is at, as he tells it."""

    IDLE = "idle"
    SPEAKING = "speaking"
    WAITING = "waiting"  # for the answer to begin
    ANSWERED = "answered"  # a response is open, nothing of it sounds
    HEARING = "hearing"
    OVER = "over"


MID_TURN: Mapping[str, frozenset[Doing]] = {
    "stt": frozenset({Doing.SPEAKING}),
    "agent": frozenset({Doing.ANSWERED, Doing.HEARING}),
    "tts": frozenset({Doing.HEARING}),
    "gateway": frozenset(Doing) - {Doing.IDLE},
    "nats": frozenset(Doing) - {Doing.IDLE},
}


class Told(msgspec.Struct, frozen=True):
    """A caller's line."""

    call: str
    doing: Doing


class LogLine(msgspec.Struct, frozen=True):
    """What is read of a gateway's log line."""

    message: str = ""
    worker: str = ""
    call_id: str = ""
    placed_at: str = ""


@dataclass(slots=True)
class _Call:
    gateway: str = ""
    placed: dict[str, str] = field(default_factory=dict)  # stage -> worker
    doing: Doing = Doing.IDLE


class Watch:
    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._beats: dict[str, tuple[Beat, float]] = {}
        self._waiting: frozenset[str] = frozenset()  # calls in which something waits for a person
        self._over: set[str] = set()  # calls: lines of logs come a little later
        self._running: dict[str, tuple[int, str]] = {}  # key of an effect -> pid of its runner, what was said
        self._users: Mapping[str, Collection[str]] = {}  # node of a cluster -> workers that use it
        self._leaders: Mapping[str, str] = {}  # stream -> node that leads it

    def on_beat(self, beat: Beat, now_s: float) -> None:
        self._beats[beat.worker] = (beat, now_s)

    def on_log(self, line: LogLine) -> None:
        if line.message == "placed" and line.call_id not in self._over:
            call = self._calls.setdefault(line.call_id, _Call())
            call.gateway = line.worker
            call.placed[stage_of(line.placed_at)] = line.placed_at

    def on_told(self, told: Told) -> None:
        if told.doing is Doing.OVER:
            self._calls.pop(told.call, None)
            self._over.add(told.call)
        else:
            self._calls.setdefault(told.call, _Call()).doing = told.doing

    def on_running(self, key: str, pid: int, call: str) -> None:
        """A tool of this call runs in the process pid, until on_run."""
        self._running[key] = (pid, call)

    def on_run(self, key: str) -> None:
        self._running.pop(key, None)

    def on_waiting(self, calls: Collection[str]) -> None:
        self._waiting = frozenset(calls)

    def on_nodes(self, users: Mapping[str, Collection[str]], leaders: Mapping[str, str]) -> None:
        """users: by node, the workers that are connected to it. leaders: by stream, the node that leads it."""
        self._users, self._leaders = users, leaders

    def workers(self, stage: str, now_s: float) -> list[Beat]:
        """That take calls, by id."""
        there = (beat for beat, at_s in self._beats.values() if now_s - at_s < ALIVE_S)
        return sorted((beat for beat in there if beat.stage == stage and not beat.draining), key=lambda b: b.worker)

    @property
    def known(self) -> frozenset[str]:
        """Workers that were ever heard."""
        return frozenset(self._beats)

    def held(self, worker: Beat) -> list[str]:
        """Calls that it serves."""
        if worker.stage == "nats":
            return self._carried(worker.worker)
        if worker.stage == "tool_runner":
            return self._run_by(worker.pid)
        if worker.stage == "gateway":
            return [name for name, call in self._calls.items() if call.gateway == worker.worker]
        return [name for name, call in self._calls.items() if call.placed.get(worker.stage) == worker.worker]

    def mid_turn(self, worker: Beat) -> list[str]:
        """Those that it has something in hand for."""
        if worker.stage == "tool_runner":
            return self._run_by(worker.pid)
        busy = MID_TURN[worker.stage]
        return [name for name in self.held(worker) if self._calls[name].doing in busy]

    def waiting(self, worker: Beat) -> list[str]:
        """Those in which something waits for a person, of an agent."""
        return [name for name in self.held(worker) if name in self._waiting] if worker.stage == "agent" else []

    def led(self, node: Beat) -> list[str]:
        """Calls whose record lies in a shard that it leads, of a node of a cluster."""
        if not self._leaders:
            return []
        return [name for name in self._calls if self._leaders.get(subjects.stream(shard_of(name))) == node.worker]

    def led_mid_turn(self, node: Beat) -> list[str]:
        return [name for name in self.led(node) if self._calls[name].doing in MID_TURN["nats"]]

    def _carried(self, node: str) -> list[str]:
        """Calls that a process of uses this node; all of them where there is one server."""
        if not self._users:
            return list(self._calls)
        users = frozenset(self._users.get(node, ()))
        return [name for name, call in self._calls.items() if users & {call.gateway, *call.placed.values()}]

    def _run_by(self, pid: int) -> list[str]:
        return list(dict.fromkeys(call for runner, call in self._running.values() if runner == pid))


def stage_of(worker: str) -> str:
    """Of a worker id that the process made itself: its stage and a nonce."""
    return worker.rpartition("-")[0]
