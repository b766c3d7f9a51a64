"""The media clock of many callers, on virtual time: when frames are sent, and what counts as late."""

import asyncio

from support.virtual import run_virtual, stand_still
from trunkline.cli.load.lateness import BUCKET_MS, Lateness, joined, percentile_ms
from trunkline.cli.load.wheel import FRAME_S, SLOT_S, Wheel


class Frames:
    """dues, sent: of each frame, when it was due and when it was sent."""

    def __init__(self) -> None:
        self.dues_s: list[float] = []
        self.sent_s: list[float] = []

    def tick(self, due_s: float) -> None:
        self.dues_s.append(due_s)
        self.sent_s.append(asyncio.get_running_loop().time())


async def turning(phases: list[float], seconds: float, stall_s: float = 0.0) -> tuple[Wheel, list[Frames]]:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop.time, loop.time())
    callers = [Frames() for _ in phases]
    for caller, phase in zip(callers, phases, strict=True):
        wheel.join(caller, phase)
    if stall_s:
        await asyncio.sleep(seconds / 2)
        stand_still(stall_s)
        await asyncio.sleep(seconds / 2 - stall_s)
    else:
        await asyncio.sleep(seconds)
    wheel.stop()
    return wheel, callers


def test_a_call_sends_fifty_frames_a_second_each_due_twenty_ms_after_the_one_before() -> None:
    _, [caller] = run_virtual(turning([0.0], 1.01))

    gaps = {round(later - due, 6) for due, later in zip(caller.dues_s, caller.dues_s[1:], strict=False)}
    assert (len(caller.dues_s), gaps) == (51, {FRAME_S})


def test_no_frame_is_sent_before_it_is_due_and_in_time_none_is_late() -> None:
    wheel, callers = run_virtual(turning([number / 7 for number in range(7)], 1.0))

    early = [sent - due for caller in callers for due, sent in zip(caller.dues_s, caller.sent_s, strict=True)]
    assert min(early) >= 0
    assert max(early) <= 2 * SLOT_S  # the loop's timers are whole milliseconds
    assert percentile_ms(wheel.lateness.counts, 99) <= 2.0


def test_callers_are_spread_over_the_time_of_a_frame() -> None:
    _, callers = run_virtual(turning([number / 20 for number in range(20)], 0.1))

    assert len({round(caller.dues_s[0] % FRAME_S, 4) for caller in callers}) == 20


def test_frames_that_could_not_be_sent_in_time_are_sent_at_once_and_each_counts_as_late() -> None:
    wheel, [caller] = run_virtual(turning([0.0], 1.0, stall_s=0.2))

    late = [at * BUCKET_MS for at, count in enumerate(wheel.lateness.counts) for _ in range(count)]
    assert len(caller.dues_s) == 51  # none is left out
    assert sum(each > 15.0 for each in late) == 9  # 200 ms of frames, but the last
    assert 175.0 <= wheel.lateness.worst_ms <= 201.0


def test_who_leaves_gets_no_other_frame_and_an_empty_wheel_stands_still() -> None:
    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        wheel, caller = Wheel(loop.time, loop.time()), Frames()
        wheel.join(caller, 0.5)
        await asyncio.sleep(0.1)
        sent = len(caller.dues_s)
        wheel.leave(caller)
        await asyncio.sleep(1.0)
        return sent, len(caller.dues_s)

    sent, later = run_virtual(main())

    assert sent == later == 5


def test_who_comes_to_a_wheel_that_stood_still_is_owed_nothing_of_that_time() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        wheel, first, second = Wheel(loop.time, loop.time()), Frames(), Frames()
        wheel.join(first, 0.0)
        wheel.leave(first)
        await asyncio.sleep(5.0)
        came_s = loop.time()
        wheel.join(second, 0.0)
        await asyncio.sleep(0.1)
        wheel.stop()
        return [due - came_s for due in second.dues_s]

    dues = run_virtual(main())

    assert min(dues) >= 0


def test_percentiles_of_lateness_are_over_all_frames_of_all_processes() -> None:
    first, second = Lateness(), Lateness()
    first.add(0.001, 98)
    second.add(0.0305, 2)

    whole = joined([first.counts, second.counts[:400]])

    assert percentile_ms(whole, 98) == 1.1
    assert percentile_ms(whole, 99) == 30.6
    assert percentile_ms([], 99) == 0.0
