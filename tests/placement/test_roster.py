"""The roster places calls on workers that live, take calls and carry least."""

import asyncio
import json
import random
from itertools import pairwise

import msgspec
import pytest

from support.virtual import run_virtual
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import SETTLED_S, Received
from trunkline.placement.beats import Beats
from trunkline.placement.roster import FORGET_S, Roster
from trunkline.proto import subjects
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.placement import BEAT_LIMIT_S, BEAT_S, IDLE_BEAT_S, IDLE_LIMIT_S, Beat


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def beat(worker: str, calls: int = 0, capacity: int = 10, draining: bool = False, stage: str = "stt") -> Beat:
    return Beat(stage, worker, calls, capacity, draining, "0")


def roster_of(*beats: Beat) -> tuple[Roster, Clock]:
    clock = Clock()
    roster = Roster(clock, random.Random(1))
    for each in beats:
        roster.hear(each)
    return roster, clock


def test_the_less_loaded_of_two_takes_the_call() -> None:
    roster, _ = roster_of(beat("busy", calls=5), beat("free", calls=1))

    assert roster.choose("stt").worker == "free"


def test_who_has_no_call_beats_more_rarely_and_is_judged_by_that_until_one_is_placed_there() -> None:
    roster, clock = roster_of(beat("hung"))
    clock.now_s += IDLE_LIMIT_S - 0.05

    assert roster.choose("stt").worker == "hung"
    for _ in range(5):
        roster.hear(beat("other", stage="tts"))
        assert not roster.lost("stt", "hung")
        clock.now_s += 0.1
    roster.hear(beat("other", stage="tts"))
    assert roster.lost("stt", "hung")


def test_one_that_was_chosen_while_it_beat_rarely_takes_the_next_call_too() -> None:
    roster, clock = roster_of(beat("alone"))
    clock.now_s += BEAT_LIMIT_S + 0.1

    assert [roster.choose("stt").worker for _ in range(2)] == ["alone", "alone"]
    clock.now_s += BEAT_LIMIT_S + 0.01
    with pytest.raises(StageUnavailable, match="none is alive"):
        roster.choose("stt")


def test_a_burst_between_two_beats_is_shared() -> None:
    roster, _ = roster_of(beat("a"), beat("b"))

    taken = [roster.choose("stt").worker for _ in range(10)]

    assert (taken.count("a"), taken.count("b")) == (5, 5)


def test_a_worker_not_heard_for_the_limit_takes_no_call_and_is_not_listed() -> None:
    roster, clock = roster_of(beat("a", calls=1))
    clock.now_s += BEAT_LIMIT_S + 0.01

    assert roster.workers() == []
    with pytest.raises(StageUnavailable, match="none is alive"):
        roster.choose("stt")


def test_a_draining_or_full_or_excluded_worker_takes_no_call() -> None:
    roster, _ = roster_of(beat("draining", draining=True), beat("full", calls=10), beat("tried"), beat("good", calls=9))

    assert roster.choose("stt", exclude={"tried"}).worker == "good"
    with pytest.raises(StageUnavailable):
        roster.choose("stt", exclude={"tried"})


def test_what_is_for_calls_alone_is_no_requests_and_one_that_finds_no_room_takes_none() -> None:
    roster, _ = roster_of(beat("one", calls=6, capacity=8))

    for _ in range(3):
        with pytest.raises(StageUnavailable, match="all are full"):
            roster.choose("stt", "req_a")

    assert [roster.choose("stt", call).worker for call in ("rtc_00_a", "rtc_00_b")] == ["one", "one"]
    with pytest.raises(StageUnavailable, match="all are full"):
        roster.choose("stt", "rtc_00_c")


def test_no_limit_means_never_full() -> None:
    roster, _ = roster_of(beat("a", calls=10_000, capacity=0))

    assert roster.choose("stt").worker == "a"


def test_another_stage_does_not_help() -> None:
    roster, _ = roster_of(beat("a", stage="tts"))

    with pytest.raises(StageUnavailable, match="stt"):
        roster.choose("stt")


def test_the_long_silent_are_forgotten() -> None:
    roster, clock = roster_of(beat("old"))
    for _ in range(int(FORGET_S / 0.1) + 10):
        clock.now_s += 0.1
        roster.hear(beat("new"))

    assert [each.worker for each in roster.workers()] == ["new"]
    assert roster.lost("stt", "old")
    assert not roster.lost("stt", "new")


def test_who_falls_silent_while_others_are_heard_is_lost() -> None:
    roster, clock = roster_of(beat("dies", calls=1), beat("lives"))
    for _ in range(5):
        clock.now_s += 0.1
        roster.hear(beat("lives"))

    assert roster.lost("stt", "dies")
    assert not roster.lost("stt", "lives")


def test_nobody_is_lost_while_the_bus_is_away_nor_when_it_comes_back() -> None:
    roster, clock = roster_of(beat("a"), beat("b", calls=1))
    clock.now_s += 60.0
    assert not roster.lost("stt", "a")

    roster.hear(beat("a"))
    clock.now_s += 0.1

    assert not roster.lost("stt", "b")
    for _ in range(3):
        roster.hear(beat("a"))
        clock.now_s += 0.1
    assert roster.lost("stt", "b")


def test_nobody_is_lost_when_this_process_was_held_up_just_before_a_late_beat() -> None:
    roster, clock = roster_of(beat("late", calls=1), beat("lives"))
    clock.now_s += BEAT_S + 0.04
    roster.hear(beat("lives"))

    clock.now_s += 5.0

    assert not roster.lost("stt", "late")


def goings_of(roster: Roster) -> list[tuple[str, str, str]]:
    goings: list[tuple[str, str, str]] = []
    roster.on_gone = lambda stage, worker, reason: goings.append((stage, worker, reason))
    return goings


def test_who_is_gone_is_told_once_and_takes_no_call_until_it_beats_again() -> None:
    roster, _ = roster_of(beat("dies"), beat("lives"))
    goings = goings_of(roster)

    roster.gone("stt", "dies", "unheard")
    roster.gone("stt", "dies", "unheard")

    assert goings == [("stt", "dies", "unheard")]
    assert roster.lost("stt", "dies")
    assert not roster.lost("stt", "lives")
    assert [each.worker for each in roster.workers()] == ["lives"]
    assert {roster.choose("stt").worker for _ in range(5)} == {"lives"}

    roster.hear(beat("dies"))

    assert not roster.lost("stt", "dies")
    assert roster.choose("stt", exclude={"lives"}).worker == "dies"


def test_a_worker_never_heard_of_is_lost_and_nobody_is_told_that_it_is_gone() -> None:
    roster, _ = roster_of(beat("lives"))
    goings = goings_of(roster)

    roster.gone("stt", "stranger", "unheard")

    assert goings == []
    assert roster.lost("stt", "stranger")


def test_a_worker_drains_when_its_last_beat_says_so() -> None:
    roster, _ = roster_of(beat("stays"), beat("leaves"))
    roster.hear(beat("leaves", draining=True))

    drains = [roster.draining("stt", worker) for worker in ("stays", "leaves", "stranger")]

    assert drains == [False, True, False]


class YoungBus(MemoryBus):
    up_s = 1e9

    @property
    def connected_s(self) -> float:
        return self.up_s


def test_sound_is_who_is_neither_lost_nor_gone_nor_draining() -> None:
    roster, clock = roster_of(beat("a", calls=1), beat("b", draining=True), beat("c"), beat("d", calls=1))
    roster.gone("stt", "c", "test")
    clock.now_s += BEAT_LIMIT_S / 2
    roster.hear(beat("d", calls=1))
    for _ in range(4):
        clock.now_s += BEAT_S
        roster.hear(beat("d", calls=1))

    assert roster.lost("stt", "a")
    assert roster.sound() == {"stt.d"}


def test_nobody_is_lost_for_silence_until_our_own_connection_is_settled() -> None:
    async def main() -> list[bool]:
        bus = YoungBus(MemoryBroker())
        loop = asyncio.get_running_loop()
        roster = Roster(loop.time)
        await roster.start(bus)
        roster.hear(beat("comes-back-later"))
        for _ in range(10):
            await asyncio.sleep(BEAT_S)
            roster.hear(beat("is-back"))
        lost = []
        for bus.up_s in (SETTLED_S - 0.01, SETTLED_S):
            lost.append(roster.lost("stt", "comes-back-later"))
        await roster.stop()
        await bus.close()
        return lost

    assert run_virtual(main()) == [False, True]


def departure(name: str, reason: str = "Client Closed", node: str = "") -> bytes:
    """As nats-server says it, but for what nobody reads."""
    kind = "io.nats.server.advisory.v1.client_disconnect"
    client = {"start": "2026-01-01T00:00:00Z", "id": 7, "acc": "TRUNKLINE", "name": name, "lang": "python3"}
    server = {"name": node, "host": "0.0.0.0", "id": "NA"} if node else {}
    said = {"type": kind, "server": server, "client": client, "sent": {"msgs": 1}, "reason": reason}
    return json.dumps(said).encode()


async def goings_upon(data: bytes, beats: list[Beat], up_s: float) -> list[tuple[str, str, str]]:
    """Who is gone, to a roster that has heard these beats, when a server tells of a departure."""
    bus = YoungBus(MemoryBroker())
    bus.up_s = up_s
    roster = Roster(asyncio.get_running_loop().time)
    goings = goings_of(roster)
    await roster.start(bus)
    for each in beats:
        roster.hear(each)
    bus.publish(subjects.DEPARTED, data)
    await asyncio.sleep(0.01)
    await roster.stop()
    await bus.close()
    return goings


@pytest.mark.parametrize(
    ("data", "up_s", "expected"),
    [
        (departure("dies"), SETTLED_S, [("stt", "dies", "disconnected: Client Closed")]),
        (departure("dies", "Stale Connection"), SETTLED_S, [("stt", "dies", "disconnected: Stale Connection")]),
        (departure("dies", "Server Shutdown"), SETTLED_S, []),
        (departure("dies"), SETTLED_S - 0.01, []),
        (departure("trunkline ps"), SETTLED_S, []),
        (departure("shared"), SETTLED_S, []),
        (departure("moved", node="nats-1"), SETTLED_S, []),
        (departure("moved", node="nats-2"), SETTLED_S, [("stt", "moved", "disconnected: Client Closed")]),
        (departure("moved"), SETTLED_S, [("stt", "moved", "disconnected: Client Closed")]),
        (departure("dies", node="nats-1"), SETTLED_S, [("stt", "dies", "disconnected: Client Closed")]),
        (b"{}", SETTLED_S, []),
        (b"no json", SETTLED_S, []),
    ],
)
def test_a_departure_counts_for_a_worker_once_our_own_connection_is_settled(
    data: bytes, up_s: float, expected: list[tuple[str, str, str]]
) -> None:
    moved = msgspec.structs.replace(beat("moved"), node="nats-2")
    beats = [beat("dies"), beat("shared"), beat("shared", stage="tts"), moved]

    assert run_virtual(goings_upon(data, beats, up_s)) == expected


def test_a_server_that_hung_and_goes_on_tells_of_nobody_who_has_left_it_though_it_brings_an_old_beat() -> None:
    beats = [msgspec.structs.replace(beat("moved"), node=node) for node in ("hung", "well", "hung")]

    assert run_virtual(goings_upon(departure("moved", node="hung"), beats, SETTLED_S)) == []


def test_a_worker_beats_rarely_without_a_call_and_at_once_and_often_from_the_placement_on() -> None:
    async def main() -> tuple[list[float], list[float]]:
        loop, bus = asyncio.get_running_loop(), MemoryBus()
        calls, heard_s = 0, list[float]()
        await bus.subscribe(subjects.ALL_BEATS, lambda received: heard_s.append(loop.time()))
        beats = Beats(bus, lambda: beat("a", calls=calls))
        beats.start()
        await asyncio.sleep(4 * IDLE_BEAT_S + 0.1)
        idle_s, placed_s = heard_s[1:], loop.time()
        heard_s.clear()
        beats.placed()
        calls = 1
        await asyncio.sleep(2 * BEAT_S + 0.01)
        beats.stop()
        return idle_s, [at_s - placed_s for at_s in heard_s]

    idle_s, busy_s = run_virtual(main())

    assert [later - earlier for earlier, later in pairwise(idle_s)] == pytest.approx([IDLE_BEAT_S] * 3)
    assert busy_s == pytest.approx([0.0, BEAT_S, 2 * BEAT_S])


def test_what_was_stopped_in_the_turn_of_a_placement_beats_no_more() -> None:
    async def main() -> int:
        bus, heard = MemoryBus(), list[Received]()
        await bus.subscribe(subjects.ALL_BEATS, heard.append)
        beats = Beats(bus, lambda: beat("a", calls=1 if heard else 0))
        beats.start()
        await asyncio.sleep(0.01)
        beats.placed()
        beats.stop()
        await asyncio.sleep(1.0)
        return len(heard)

    assert run_virtual(main()) == 1
