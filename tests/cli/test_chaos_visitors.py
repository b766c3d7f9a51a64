"""Visitors of a run of chaos: how they dial, what is expected of their calls, and what is told of their set-ups."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from support.virtual import run_over_sockets
from trunkline.cli.chaos import elections, evidence, visitors
from trunkline.cli.chaos.checker import check
from trunkline.cli.chaos.command import report
from trunkline.cli.chaos.evidence import Account, CallEvidence, Evidence, Fault, Moved, Recorded, Run
from trunkline.cli.chaos.visitors import AT_ONCE, EVERY_S, Visitors
from trunkline.cli.chaos.watch import Doing, LogLine, Told, Watch
from trunkline.client import Refused, ServerEvent
from trunkline.client.events import Session
from trunkline.proto import record
from trunkline.proto.placement import Beat
from trunkline.proto.record import RecordEntry

FAULT = Fault("stop", "nats", "nats-2", 1, 10.0, led_s=15.0, ended_s=14.0, ready_s=18.0)


class Door:
    """Stands for `connect`. refuses: so many dials. opens_s: how long a session takes to be there."""

    def __init__(self, refuses: int = 0, opens_s: float = 0.0) -> None:
        self.dials = self.within = self.most = 0
        self._refuses, self._opens_s = refuses, opens_s

    def __call__(self, url: str, key: str) -> "Dialled":
        self.dials += 1
        return Dialled(self, f"rtc_00_{self.dials}", self._opens_s, refused=self.dials <= self._refuses)


class Dialled:
    resumed = 0

    def __init__(self, door: Door, name: str, opens_s: float, *, refused: bool) -> None:
        self._door, self._name, self._opens_s, self._refused = door, name, opens_s, refused

    async def __aenter__(self) -> "Dialled":
        if self._refused:
            raise Refused("ws://x", 503, "no shard answers")
        self._door.within += 1
        self._door.most = max(self._door.most, self._door.within)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._door.within -= 1

    async def __aiter__(self) -> AsyncIterator[ServerEvent]:
        await asyncio.sleep(self._opens_s)
        yield ServerEvent("session.created", session=Session(f"sess_{self._name}"))


@pytest.fixture
def visited(monkeypatch: pytest.MonkeyPatch) -> Callable[[Door, float], tuple[Visitors, list[Told]]]:
    def visit(door: Door, seconds: float) -> tuple[Visitors, list[Told]]:
        monkeypatch.setattr(visitors, "connect", door)
        told: list[Told] = []

        async def main() -> Visitors:
            until_s = time.time() + seconds
            coming = Visitors("ws://x", "key", 1, told.append)
            await coming.run(lambda: time.time() < until_s)
            return coming

        return run_over_sockets(main()), told

    return visit


Visit = Callable[[Door, float], tuple[Visitors, list[Told]]]


def took_s(coming: Visitors) -> list[float]:
    return [one.account.let_in_s - one.account.dialled_s for one in coming.calls]


# how they dial


def test_visitors_dial_at_a_steady_pace_although_those_before_them_wait(visited: Visit) -> None:
    coming, told = visited(Door(opens_s=5.0), 2.0)

    assert 2.0 / EVERY_S[1] <= len(coming.calls) <= 2.0 / EVERY_S[0] + 1
    assert took_s(coming) == pytest.approx([5.0] * len(coming.calls), abs=0.01)
    assert told == [Told(one.call, Doing.OVER) for one in coming.calls]


def test_refusals_count_as_the_visitor_s_wait(visited: Visit) -> None:
    coming, _ = visited(Door(refuses=1), 0.1)

    (took,) = took_s(coming)
    assert visitors.AGAIN_S[0] <= took <= visitors.AGAIN_S[1] + 0.01
    assert len(coming.refused) == 1


def test_who_has_to_wait_for_his_turn_to_dial_waits_since_he_was_due(visited: Visit) -> None:
    door = Door(opens_s=20.0)

    coming, _ = visited(door, 15.0)

    assert door.most == AT_ONCE
    assert len(coming.calls) > AT_ONCE
    assert max(took_s(coming)) > 25.0


# what becomes of their calls


def visit(name: str, *events: record.Event, dialled_s: float = 12.0, took_s: float = 0.02) -> CallEvidence:
    entries = [Recorded(1, RecordEntry(1, 1, 0, "entry_1", list(events)))] if events else []
    account = Account(end="hung_up", ended_s=20.0, dialled_s=dialled_s, let_in_s=dialled_s + took_s)
    return CallEvidence(name, entries, account)


def test_of_a_visit_s_record_only_its_end_is_expected() -> None:
    ended = visit("rtc_1", record.Ended(0, "lost"))

    violations = check(Evidence([], Run(), [ended, visit("rtc_2")]))

    assert [(one.invariant, one.call) for one in violations] == [("ended_once", "rtc_2")]


def test_visits_are_counted_apart_from_calls() -> None:
    made = report(Evidence([], Run([FAULT], visits_refused=["503"]), [visit("rtc_1")]), [])

    assert (made.calls, made.refused, made.visits, made.visits_refused) == (0, 0, 1, 1)


def test_a_dump_has_the_visits_and_one_of_before_has_none(tmp_path: Path) -> None:
    found = Evidence([visit("rtc_1")], Run([FAULT]), [visit("rtc_2", record.Ended(0, "lost"))])

    evidence.dump(found, tmp_path)

    assert evidence.load(tmp_path) == found
    (tmp_path / "visits/rtc_2.json").unlink()
    (tmp_path / "visits").rmdir()
    assert evidence.load(tmp_path).visits == []


def test_a_log_line_that_comes_after_a_call_does_not_bring_it_back() -> None:
    watch = Watch()

    watch.on_told(Told("rtc_1", Doing.OVER))
    watch.on_log(LogLine("placed", "gateway-g", "rtc_1", "stt-a"))

    assert watch.held(Beat("gateway", "gateway-g", 1, 8, False, "0")) == []


# what is told of their set-ups


def test_set_ups_count_by_the_kind_of_fault_until_the_node_was_left_too() -> None:
    """The hung node led nothing: its shards have leaders while a gateway still waits for it."""
    hung = msgspec.structs.replace(FAULT, at_s=30.0, led_s=30.1, moved=[Moved("gateway-a", 31.5), Moved("stt-a", 0.0)])
    dialled = [visit(f"rtc_{at_s}", dialled_s=at_s, took_s=at_s / 100) for at_s in (5.0, 12.0, 31.0, 32.0)]
    killed = msgspec.structs.replace(FAULT, kind="kill")

    set_ups = elections.set_ups(Evidence([], Run([killed, hung]), dialled))

    assert {name: (each.worst, each.turns) for name, each in set_ups.items()} == {
        "in elections": (310.0, 2),
        "kill nats": (120.0, 1),
        "stop nats": (310.0, 1),
        "otherwise": (320.0, 2),
    }


def test_a_node_in_lame_duck_is_felt_until_it_has_ended() -> None:
    draining = msgspec.structs.replace(FAULT, kind="term", led_s=10.2, ended_s=16.0)
    dialled = [visit(f"rtc_{at_s}", dialled_s=at_s) for at_s in (15.0, 17.0)]

    set_ups = elections.set_ups(Evidence([], Run([draining]), dialled))

    assert {name: each.turns for name, each in set_ups.items()} == {"in elections": 1, "term nats": 1, "otherwise": 1}


def test_the_slowest_set_ups_of_a_kind_are_named() -> None:
    dialled = [visit(f"rtc_{n}", dialled_s=11.0 + n / 10, took_s=n / 10) for n in range(5)]

    named = elections.slowest(Evidence([], Run([FAULT]), dialled))

    assert named == {
        "stop nats": [elections.SetUp(f"rtc_{n}", 100.0 * n, round(1.0 + n / 10, 3), "nats-2") for n in (4, 3, 2)]
    }
