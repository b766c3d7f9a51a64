"""What an STT worker says of many calls at once, at the gateway."""

import asyncio

import pytest

from gateway.scene import Scene
from support.virtual import run_virtual
from trunkline.bus.exchange import Exchange, Link
from trunkline.proto import speech as s
from trunkline.proto import subjects
from trunkline.proto.audio import CALLER_RATE_HZ


def tell(exchange: Exchange, link: Link, judged_to: int, silent_to: int, *, more: int = 0) -> None:
    """more: messages beyond those that were sent."""
    call = s.HeardCall(link.call, link.attach, link.state.sent + more, judged_to, silent_to)
    unknown = s.HeardCall("rtc_00_unknown", link.attach, 1, judged_to, silent_to)
    subject = subjects.inbox_of(link.peer, subjects.NO_CALL)
    exchange.post(subject, subjects.NO_CALL, s.Heard([unknown, call]), peer=link.peer)


@pytest.mark.parametrize(("more", "kept_from", "judged_to"), [(0, CALLER_RATE_HZ, 2 * CALLER_RATE_HZ), (1, 0, 0)])
def test_a_call_is_judged_and_its_ring_trimmed_unless_it_lacks_what_was_said_before(
    more: int, kept_from: int, judged_to: int
) -> None:
    async def scenario() -> tuple[int, int, bool]:
        async with Scene() as scene:
            call, line = await scene.call()
            await line.speaks(3.0)
            session = scene.stt.sessions[0]
            tell(scene.stt._exchange, session.link, 2 * CALLER_RATE_HZ, CALLER_RATE_HZ, more=more)
            await asyncio.sleep(0.1)
            heard = call.listening.replay_from, call.listening.judged_to, session.order.joined
            call.end("caller_hung_up")
            await asyncio.sleep(3.0)
            return heard

    assert run_virtual(scenario()) == (kept_from, judged_to, True)


def test_a_worker_that_says_so_for_all_its_calls_at_once_is_not_mute() -> None:
    async def scenario() -> int:
        async with Scene("stt") as scene:
            call, line = await scene.call()
            session = scene.stt.sessions[0]
            for _ in range(12):
                await line.speaks(0.5)
                tell(scene.stt._exchange, session.link, call.listening.ring.end, 0)
            placed = len(scene.stt.sessions) + len(scene.second["stt"].sessions)
            call.end("caller_hung_up")
            await asyncio.sleep(3.0)
            return placed

    assert run_virtual(scenario()) == 1
