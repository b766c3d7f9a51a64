"""Frames of all callers at the one edge: each is heard once, in order, as if it had come alone."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from support.virtual import run_virtual
from trunkline.audio import g711
from trunkline.bus.adaptive_window import PERIOD_S, WIDEST_S
from trunkline.gateway.edge import ALONE_BYTES, Ear, Edge, Inlet
from trunkline.proto.errors import BadInput

FRAME = np.random.default_rng(1).integers(-8_000, 8_000, 480, dtype=np.int16).tobytes()


class Caller:
    def __init__(self, edge: Edge, ear: Ear, hear: Callable[[bytes], None] | None = None) -> None:
        self.heard: list[bytes] = []
        self.failures: list[Exception] = []
        self.inlet = Inlet(edge, ear, hear or self.heard.append, self.failures.append)


def at_the_edge(script: Callable[[Edge], object]) -> None:
    async def main() -> None:
        edge = Edge(asyncio.get_running_loop())
        await script(edge)  # type: ignore[misc]
        edge.close()

    run_virtual(main())


async def crowd(edge: Edge) -> list[Caller]:
    """As many callers as make the window wide."""
    callers = [Caller(edge, Ear(24_000)) for _ in range(20)]
    for _ in range(2):
        for caller in callers:
            caller.inlet.take(FRAME)
        await asyncio.sleep(PERIOD_S)
    for caller in callers:
        caller.heard.clear()
    return callers


def test_a_caller_among_many_hears_itself_as_alone() -> None:
    async def script(edge: Edge) -> None:
        ears = [Ear(24_000), Ear(8_000, g711.decode_mulaw), Ear(8_000, g711.decode_alaw), Ear(16_000), Ear(24_000)]
        alone = [Ear(ear_hz, decode) for ear_hz, decode in ((24_000, None), (8_000, g711.decode_mulaw))]
        alone += [Ear(8_000, g711.decode_alaw), Ear(16_000), Ear(24_000)]
        callers = [Caller(edge, ear) for ear in ears]
        expected = [[] for _ in callers]  # type: list[list[bytes]]
        for turn in range(30):
            for number, caller in enumerate(callers):
                if (turn + number) % 3:
                    frame = FRAME[: 960 - 2 * (turn * number % 7)]
                    caller.inlet.take(frame)
                    expected[number].append(alone[number].hear(frame))
            await asyncio.sleep(0.02)
        for number, caller in enumerate(callers):
            caller.inlet.follow()
            expected[number].append(alone[number].rest())

            heard = np.frombuffer(b"".join(caller.heard), dtype="<i2").astype(int)
            whole = np.frombuffer(b"".join(expected[number]), dtype="<i2").astype(int)
            assert len(whole) == len(heard) > 1_000
            assert np.abs(whole - heard).max() <= 1

    at_the_edge(script)


def test_frames_of_many_callers_are_heard_together_at_the_end_of_the_window() -> None:
    async def script(edge: Edge) -> None:
        callers = await crowd(edge)
        for caller in callers:
            caller.inlet.take(FRAME)
            await asyncio.sleep(WIDEST_S / 40)
        assert not any(caller.heard for caller in callers)
        await asyncio.sleep(WIDEST_S / 2)
        assert all(len(caller.heard) == 1 for caller in callers)

    at_the_edge(script)


def test_a_few_callers_wait_for_nobody() -> None:
    async def script(edge: Edge) -> None:
        caller = Caller(edge, Ear(24_000))
        caller.inlet.take(FRAME)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(caller.heard) == 1

    at_the_edge(script)


def test_what_waits_is_heard_at_once_and_once_where_something_else_follows() -> None:
    async def script(edge: Edge) -> None:
        caller = (await crowd(edge))[0]
        caller.inlet.take(FRAME)
        caller.inlet.take(FRAME)
        caller.inlet.bring()
        assert len(b"".join(caller.heard)) == 2 * 640
        caller.inlet.take(FRAME)
        await asyncio.sleep(WIDEST_S)
        assert len(b"".join(caller.heard)) == 3 * 640

    at_the_edge(script)


def test_who_sends_seconds_at_once_waits_for_no_window() -> None:
    """What waits is joined: of a file in small frames that would be as many copies of ever more."""

    async def script(edge: Edge) -> None:
        caller, most_bytes = (await crowd(edge))[0], 0
        for _ in range(500):
            caller.inlet.take(FRAME)
            most_bytes = max(most_bytes, len(caller.inlet.waiting))
        assert most_bytes <= ALONE_BYTES
        caller.inlet.bring()
        assert len(b"".join(caller.heard)) == 500 * 640

    at_the_edge(script)


def test_another_format_begins_where_the_last_ended() -> None:
    async def script(edge: Edge) -> None:
        caller = (await crowd(edge))[0]
        caller.inlet.take(FRAME)
        caller.inlet.follow(Ear(16_000))
        before = len(b"".join(caller.heard))
        caller.inlet.take(FRAME)
        await asyncio.sleep(WIDEST_S)
        assert b"".join(caller.heard)[before:] == FRAME

    at_the_edge(script)


def test_a_torn_sample_is_refused_at_once_and_nothing_of_it_is_heard() -> None:
    async def script(edge: Edge) -> None:
        caller = Caller(edge, Ear(16_000))
        with pytest.raises(BadInput, match="odd number of bytes: 3"):
            caller.inlet.take(b"abc")
        caller.inlet.take(b"abcd")
        await asyncio.sleep(0.02)
        assert caller.heard == [b"abcd"]

    at_the_edge(script)


def test_a_call_that_fails_takes_no_other_s_frame_along() -> None:
    def fail(audio: bytes) -> None:
        raise RuntimeError("a bug")

    async def script(edge: Edge) -> None:
        broken, sound = Caller(edge, Ear(24_000), fail), Caller(edge, Ear(24_000))
        broken.inlet.take(FRAME)
        sound.inlet.take(FRAME)
        await asyncio.sleep(0.02)
        assert [str(failure) for failure in broken.failures] == ["a bug"]
        assert (len(sound.heard), sound.failures) == (1, [])

    at_the_edge(script)
