"""Faults of a cluster's nodes: what its monitoring says, whom they hit, when the next may come, what they cost."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec
import pytest

from trunkline.cli.chaos import cluster, elections, gaps
from trunkline.cli.chaos.checks_nodes import nodes_are_left
from trunkline.cli.chaos.cluster import Cluster, Led, NodeView, View
from trunkline.cli.chaos.evidence import Account, CallEvidence, Evidence, Fault, Moved, Piece, Recorded, Run, Said
from trunkline.cli.chaos.node_faults import NodeFaults
from trunkline.cli.chaos.plan import NODE_STOP_S, Planned, node_plan
from trunkline.cli.chaos.process_end import ended
from trunkline.cli.chaos.rolling import Rolling
from trunkline.cli.chaos.scene import OF_NODES
from trunkline.cli.chaos.watch import Doing, LogLine, Told, Watch
from trunkline.cli.stack import NatsNode
from trunkline.proto import record
from trunkline.proto.placement import Beat
from trunkline.proto.record import Event, RecordEntry

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
NODES = tuple(NatsNode(f"nats-{n}", f"tl-{n}", f"nats://127.0.0.1:{n}", f"http://127.0.0.1:{n}") for n in (1, 2, 3))
STREAMS = ("CALLS_01", "CALLS_02", "CALLS_03")
CALL = "rtc_02_x"


def view(
    *gone: str, leaders: Mapping[str, str] | None = None, level: bool = True, users: Mapping[str, str] | None = None
) -> View:
    """gone: nodes that don't answer. leaders: by stream, else stream 1 is led by node 1 and so on. users: to nodes."""
    led_by = dict(zip(STREAMS, ("nats-1", "nats-2", "nats-3"), strict=True)) if leaders is None else leaders
    nodes = {}
    for node in NODES:
        if node.name not in gone:
            leads = {stream: Led(level) for stream, leader in led_by.items() if leader == node.name}
            own = {worker: 5.0 for worker, at in (users or {}).items() if at == node.name}
            nodes[node.name] = NodeView(True, own, frozenset(STREAMS), leads)
    return View(time.time(), len(NODES), nodes)


# what the cluster's monitoring says


def test_a_node_is_read_off_its_monitoring() -> None:
    connections = (
        b'{"connections":[{"cid":4,"start":"2026-11-28T03:00:00.123456789Z","name":"stt-a"},'
        b'{"cid":5,"start":"2026-11-28T03:00:02Z","name":"chaos"}],"total":2}'
    )
    streams = (
        b'{"streams":2,"account_details":[{"name":"TRUNKLINE","stream_detail":['
        b'{"name":"CALLS_01","cluster":{"leader":"tl-1","replicas":[{"name":"tl-2","current":true},'
        b'{"name":"tl-3","current":false,"offline":true}]}},'
        b'{"name":"CALLS_02","cluster":{"leader":"tl-2","replicas":[{"name":"tl-1","current":true}]}}]}]}'
    )

    node = cluster.read("tl-1", True, connections, streams)

    assert node.users["stt-a"] == pytest.approx(1795834800.123456)
    assert (node.streams, node.leads) == (frozenset({"CALLS_01", "CALLS_02"}), {"CALLS_01": Led(level=False)})


def test_a_cluster_is_whole_when_all_nodes_answer_and_every_copy_is_level() -> None:
    unhealthy = NodeView(False, {}, frozenset(STREAMS), {"CALLS_01": Led(True)})

    assert view().whole
    assert not view("nats-3").whole
    assert not view(level=False).whole
    assert not view(leaders={"CALLS_01": "nats-1", "CALLS_02": "nats-2"}).whole
    assert not View(0.0, 3, {**view().nodes, "nats-1": unhealthy}).whole


def test_every_shard_has_a_leader_once_nodes_that_answer_lead_all() -> None:
    assert not view("nats-3").led
    assert view("nats-3", leaders=dict.fromkeys(STREAMS, "nats-1")).led
    assert not View(0.0, 3, {}).led


# the plan


def test_each_fault_of_nodes_comes_once_in_forty_seconds_and_a_stop_is_long_enough_to_be_noticed() -> None:
    planned = node_plan(1, 40, OF_NODES)

    assert sorted(one.kind for one in planned) == ["kill", "stop", "term"]
    assert all(NODE_STOP_S[0] <= one.stop_s <= NODE_STOP_S[1] for one in planned if one.kind == "stop")


# whom they hit


def watching() -> Watch:
    """A call in mid-turn whose STT uses the second node."""
    watch = Watch()
    watch.on_log(LogLine("placed", "gateway-g", CALL, "stt-b"))
    watch.on_told(Told(CALL, Doing.SPEAKING))
    return watch


def test_a_node_holds_the_calls_whose_processes_use_it_and_leads_those_of_its_shards() -> None:
    watch = watching()

    watch.on_nodes({"nats-1": ["stt-a"], "nats-2": ["stt-b"]}, {"CALLS_02": "nats-3"})

    nodes = [Beat("nats", node.name, 0, 0, False, "") for node in NODES]
    assert [watch.held(node) for node in nodes] == [[], [CALL], []]
    assert [watch.led(node) for node in nodes] == [[], [], [CALL]]
    assert [watch.led_mid_turn(node) for node in nodes] == [[], [], [CALL]]


class Scripted(Cluster):
    """One view after the other, the last again and again."""

    def __init__(self, *views: Callable[[], View]) -> None:
        super().__init__(NODES, time.time)
        self.looks = 0
        self._views = views

    async def look(self) -> View:
        self.looks += 1
        return self._views[min(self.looks, len(self._views)) - 1]()


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [subprocess.Popen(SLEEP) for _ in NODES]
    yield started
    for process in started:
        process.kill()
        process.wait()


def faults_of(scripted: Cluster, processes: list[subprocess.Popen[bytes]], seed: int = 1) -> NodeFaults:
    pids = {node.name: process.pid for node, process in zip(NODES, processes, strict=True)}
    return NodeFaults(scripted, lambda node: pids[node.name], watching(), seed)


def whole() -> View:
    return view(users={"stt-b": "nats-2"}, leaders=dict.fromkeys(STREAMS, "nats-2"))


@pytest.mark.parametrize("seed", range(4))
def test_an_aimed_fault_hits_the_node_that_a_call_in_mid_turn_depends_on(
    processes: list[subprocess.Popen[bytes]], seed: int
) -> None:
    async def main() -> Fault:
        faults = faults_of(Scripted(whole), processes, seed)
        await faults.carry_out([Planned(0.0, "kill", "nats", aimed=True)])
        (fault,) = faults.done
        return fault

    fault = asyncio.run(main())

    assert (fault.worker, fault.held, fault.led) == ("nats-2", [CALL], [CALL])
    assert [process.poll() for process in processes] == [None, -9, None]
    assert fault.at_s <= fault.ended_s <= fault.ready_s


def test_the_next_node_is_hit_only_when_the_cluster_is_whole_again(processes: list[subprocess.Popen[bytes]]) -> None:
    halves = [whole, *[lambda: view("nats-2")] * 3, lambda: view(level=False), whole]
    scripted = Scripted(*halves)

    async def main() -> NodeFaults:
        faults = faults_of(scripted, processes)
        await faults.carry_out([Planned(0.0, "kill", "nats", True), Planned(0.0, "kill", "nats", False)])
        return faults

    first, second = asyncio.run(main()).done

    assert scripted.looks > len(halves)
    assert second.at_s >= first.ready_s > first.led_s > 0


def test_a_node_that_hangs_goes_on_although_the_run_is_cut_short(processes: list[subprocess.Popen[bytes]]) -> None:
    async def main() -> NodeFaults:
        faults = faults_of(Scripted(whole), processes)
        running = asyncio.create_task(faults.carry_out([Planned(0.0, "stop", "nats", True, 30.0)]))
        await asyncio.to_thread(wait_until_stopped, processes[1])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return faults

    (fault,) = asyncio.run(main()).done

    assert (fault.kind, fault.ended_s, fault.ready_s) == ("stop", 0.0, 0.0)
    assert state(processes[1]) != "T"


def wait_until_stopped(process: subprocess.Popen[bytes]) -> None:
    give_up_s = time.monotonic() + 10
    while state(process) != "T" and time.monotonic() < give_up_s:
        time.sleep(0.01)


def state(process: subprocess.Popen[bytes]) -> str:
    """T for stopped. Source: proc(5), /proc/PID/stat."""
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


# a rolling restart


def test_the_end_of_a_process_is_seen_although_it_is_nobodys_child(processes: list[subprocess.Popen[bytes]]) -> None:
    async def main() -> tuple[bool, bool]:
        waiting = asyncio.create_task(ended(processes[0].pid))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        processes[0].kill()
        await asyncio.wait_for(waiting, 10)
        processes[0].wait()
        await asyncio.wait_for(ended(processes[0].pid), 10)
        return bool(done), waiting.done()

    assert asyncio.run(main()) == (False, True)


def test_one_process_after_the_other_is_replaced_and_the_next_waits_for_the_beat_of_its_successor(
    processes: list[subprocess.Popen[bytes]],
) -> None:
    async def main() -> Rolling:
        watch, changed, scripted = Watch(), asyncio.Event(), Scripted(whole)
        beats = [Beat("stt", f"stt-{n}", 0, 8, False, "0", pid=p.pid) for n, p in enumerate(processes)][:2]
        for beat in beats:
            watch.on_beat(beat, time.time())
        rolling = Rolling(watch, changed, scripted, faults_of(scripted, processes))
        replacing = asyncio.create_task(rolling.replace(beats))
        for number in (0, 1):
            await asyncio.to_thread(processes[number].wait, 10)
            assert [process.poll() is None for process in processes[number + 1 :]] == [True] * (2 - number)
            watch.on_beat(Beat("stt", f"stt-new-{number}", 0, 8, False, "0", pid=1), time.time())
            changed.set()
            while len(rolling.done) == number:  # noqa: ASYNC110  # a turn of the loop each
                await asyncio.sleep(0)
        replacing.cancel()  # the nodes are another test's
        await asyncio.gather(replacing, return_exceptions=True)
        return rolling

    done = asyncio.run(main()).done

    assert [(fault.kind, fault.worker) for fault in done] == [("term", "stt-0"), ("term", "stt-1")]
    assert all(fault.at_s <= fault.ended_s <= fault.ready_s for fault in done)


def test_a_process_that_does_not_end_within_its_limit_ends_the_rolling_restart(
    processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.cli.chaos.rolling.STEP_LIMIT_S", 0.1)
    processes[0].send_signal(signal.SIGSTOP)
    wait_until_stopped(processes[0])  # SIGTERM ends it no more

    async def main() -> Rolling:
        watch, scripted = Watch(), Scripted(whole)
        beats = [Beat("stt", f"stt-{n}", 0, 8, False, "0", pid=p.pid) for n, p in enumerate(processes)]
        rolling = Rolling(watch, asyncio.Event(), scripted, faults_of(scripted, processes))
        await rolling.replace(beats)
        return rolling

    done = asyncio.run(main()).done

    assert [(fault.worker, fault.ended_s, fault.ready_s) for fault in done] == [("stt-0", 0.0, 0.0)]
    assert [process.poll() for process in processes] == [None] * 3


# what they cost

FAULT = Fault("kill", "nats", "nats-2", 1, 10.0, held=[CALL], led=[CALL], led_s=15.0, ended_s=10.0, ready_s=18.0)


def stored(number: int, at_s: float, stored_s: float, *events: Event) -> Recorded:
    at_us = round(at_s * 1e6)
    found = [msgspec.structs.replace(event, at_us=at_us) for event in events or (record.ItemClosed(0, "item_x"),)]
    return Recorded(number, RecordEntry(1, 1, number, f"entry_{number}", found), stored_s)


def test_a_shard_took_nothing_for_as_long_as_an_entry_waited_since_the_fault() -> None:
    entries = [stored(0, 9.0, 9.01), stored(1, 9.5, 14.5), stored(2, 13.0, 14.6), stored(3, 40.0, 60.0)]
    other = CallEvidence("rtc_03_y", [stored(0, 11.0, 11.1)], Account())
    found = Evidence([CallEvidence(CALL, entries, Account()), other], Run(faults=[FAULT]))

    assert elections.appends_back(found) == {"kill nats": gaps.Figures(4500.0, 4500.0, 4500.0, 1)}
    assert {wait.call: round(wait.seconds, 3) for wait in elections.waits(found)} == {CALL: 4.5, "rtc_03_y": 0.1}


def test_who_dialled_in_an_election_is_held_against_the_others() -> None:
    accounts = [Account(dialled_s=at_s, let_in_s=at_s + took_s) for at_s, took_s in ((5.0, 0.01), (12.0, 0.02))]
    found = Evidence([CallEvidence(f"rtc_{n}", [], account) for n, account in enumerate(accounts)], Run([FAULT]))

    set_ups = elections.set_ups(found)

    assert {name: (each.worst, each.turns) for name, each in set_ups.items()} == {
        "in elections": (20.0, 1),
        "kill nats": (20.0, 1),
        "otherwise": (10.0, 1),
    }


def test_tools_that_waited_for_the_record_are_counted_with_those_of_whom_the_caller_was_told() -> None:
    def intent(response: str) -> Event:
        return record.ToolIntended(0, f"call_{response}", response, "book", "{}", f"call_{response}", 0)

    excuse = record.AssistantItem(0, "resp_1", "item_1", "commentary", "filler")
    entries = [
        stored(0, 10.5, 14.0, intent("resp_1"), excuse),
        stored(1, 10.5, 14.5, intent("resp_2")),
        stored(2, 30.0, 30.1, intent("resp_3")),
    ]

    told = elections.tools_waited(Evidence([CallEvidence(CALL, entries, Account())], Run([FAULT])))

    assert told == elections.ToolsWaited(2, 1, 4000.0)


def test_moves_are_counted_from_the_fault() -> None:
    fault = msgspec.structs.replace(FAULT, moved=[Moved("stt-b", 10.05), Moved("stt-c", 0.0)])

    assert elections.moves(Evidence([], Run([fault]))) == {"kill nats": gaps.Figures(50.0, 50.0, 50.0, 1)}


CALM = (30.0, 0.5), (40.0, 0.5)


def spoken(*turns: tuple[float, float]) -> CallEvidence:
    """turns: when each began, and how long after its words the reply came, in seconds."""
    said = [Said("1", began_s + 1, began_s + 3, "", "short", began_s) for began_s, _ in turns]
    heard = [Piece("item", 0, 0, 2400, began_s + 1 + first_s) for began_s, first_s in turns]
    return CallEvidence(CALL, [], Account(said, [], heard))


def test_turns_of_an_election_are_counted_apart_from_those_that_felt_the_node_go() -> None:
    """One was under way at the fault, one began in the election, one long after."""
    by_kind, undisturbed = gaps.measure(Evidence([spoken((9.0, 0.9), (13.0, 0.6), *CALM)], Run([FAULT])))

    assert {name: (each.worst, each.turns) for name, each in by_kind.items()} == {
        "kill nats": (400.0, 1),
        "kill nats, election": (100.0, 1),
    }
    assert undisturbed is not None
    assert undisturbed.turns == 2


def test_an_election_that_the_run_s_end_cut_short_leaves_no_turn_undisturbed_behind_it() -> None:
    unseen = msgspec.structs.replace(FAULT, at_s=50.0, led_s=0.0, ended_s=50.0, ready_s=0.0)

    by_kind, undisturbed = gaps.measure(Evidence([spoken(*CALM, (54.0, 0.8))], Run([unseen])))

    assert {name: each.turns for name, each in by_kind.items()} == {"kill nats, election": 1}
    assert undisturbed is not None
    assert (undisturbed.turns, undisturbed.worst) == (2, 0.0)


def test_who_was_hit_himself_in_an_election_that_the_run_s_end_cut_short_is_not_asked_where_he_went() -> None:
    moved = [Moved("stt-b", 0.0)]
    unseen = msgspec.structs.replace(FAULT, led_s=0.0, ready_s=0.0, moved=moved)
    himself = Fault("kill", "stt", "stt-b", 2, 10.5)

    assert list(nodes_are_left(Evidence([], Run([unseen, himself])))) == []
    assert len(list(nodes_are_left(Evidence([], Run([unseen]))))) == 1
