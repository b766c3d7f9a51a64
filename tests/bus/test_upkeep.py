"""When the links of a worker are seen to: only when something is due, and then within a tick."""

import asyncio
import random

import pytest

from bus.pair import ATTACH, LISTEN, Pair, scenario
from support.virtual import stand_still
from trunkline.bus.exchange import LINGER_S, Link
from trunkline.bus.link import ACK_DELAY_S, RESEND_S, LinkState
from trunkline.bus.port import PayloadTooLarge
from trunkline.bus.upkeep import TICK_S, Upkeep
from trunkline.proto.envelope import decode
from trunkline.proto.placement import CallFailed
from trunkline.proto.speech import Silent

NEARLY_S = 1e-6


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When an upkeep of either side was woken."""
    at_s: list[float] = []
    run = Upkeep._run

    def noted(self: Upkeep) -> None:
        at_s.append(now_s())
        run(self)

    monkeypatch.setattr(Upkeep, "_run", noted)
    return at_s


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_links_at_which_nothing_is_due_wake_nobody(runs: list[float]) -> None:
    async def body(pair: Pair) -> None:
        for attach in range(ATTACH, ATTACH + 20):
            pair.link(attach).send(LISTEN)
        await asyncio.sleep(1.0)
        assert runs
        runs.clear()

        await asyncio.sleep(600.0)

        assert runs == []

    scenario(body)


@pytest.mark.parametrize("offset_s", [0.0, 0.013, 0.049])
def test_what_is_due_is_done_within_a_tick(offset_s: float) -> None:
    async def body(pair: Pair) -> None:
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1.0 + offset_s)
        sent_s: list[float] = []
        acknowledged_s: list[float] = []
        pair.hub_bus.lose = lambda subject, data: sent_s.append(now_s()) or len(sent_s) == 1  # type: ignore[func-returns-value]
        pair.worker_bus.lose = lambda subject, data: acknowledged_s.append(now_s()) or False  # type: ignore[func-returns-value]
        link.send(Silent(1))

        await asyncio.sleep(1.0)

        [first_s, again_s], [acknowledged] = sent_s, acknowledged_s
        assert 0.0 <= again_s - first_s - RESEND_S <= TICK_S + NEARLY_S
        assert 0.0 <= acknowledged - again_s - ACK_DELAY_S <= TICK_S + NEARLY_S

    scenario(body)


def test_links_of_a_worker_share_the_ticks_at_which_they_are_seen_to(runs: list[float]) -> None:
    async def body(pair: Pair) -> None:
        rng = random.Random(7)
        pair.hub_bus.lose = pair.worker_bus.lose = lambda subject, data: rng.random() < 0.3
        links = [pair.link(attach) for attach in range(ATTACH, ATTACH + 50)]
        begun_s = now_s()
        for number in range(200):
            rng.choice(links).send(LISTEN if number < 50 else Silent(number))
            await asyncio.sleep(rng.random() / 20)
        ticks = (now_s() - begun_s) / TICK_S

        assert len(runs) <= 2 * (ticks + 1)  # two sides
        assert all(abs(at_s / TICK_S - round(at_s / TICK_S)) < NEARLY_S for at_s in runs)

    scenario(body)


class Overdue(LinkState):
    """What is due can't be done."""

    @property
    def due_s(self) -> float:
        return 0.0


def test_a_link_that_stays_overdue_is_tried_once_a_tick(runs: list[float]) -> None:
    async def body(pair: Pair) -> None:
        link = pair.link()
        link.state = Overdue()
        stand_still(10.0)
        pair.hub.upkeep.add(link)

        await asyncio.sleep(1.0)

        assert len(runs) == pytest.approx(1.0 / TICK_S, abs=1)

    scenario(body)


def test_last_words_are_over_when_the_last_closed_link_is_done_whatever_open_ones_wait_for() -> None:
    async def body(pair: Pair) -> None:
        closed, still_open = pair.link(), pair.link(ATTACH + 1)
        for link in (closed, still_open):
            link.send(LISTEN)
        await asyncio.sleep(1.0)
        pair.hub_bus.lose = lambda subject, data: True
        still_open.send(Silent(1))
        pair.hub_bus.lose = lambda subject, data: False
        closed.send(Silent(1))
        closed.close()
        begun_s = now_s()

        await pair.hub.upkeep.last_words()

        assert not still_open.state.settled
        assert now_s() - begun_s <= ACK_DELAY_S + 2 * TICK_S + NEARLY_S

    scenario(body)


async def close_unheard(pair: Pair) -> None:
    """A link of the hub's whose last word is lost."""
    link = pair.link()
    link.send(LISTEN)
    await asyncio.sleep(1.0)
    pair.hub_bus.lose = lambda subject, data: True
    link.send(Silent(1))
    link.close()


def test_last_words_are_over_at_once_when_the_peer_says_that_it_has_no_ear_for_them() -> None:
    async def body(pair: Pair) -> None:
        await close_unheard(pair)
        asyncio.get_running_loop().call_later(0.01, pair.placed[0].send_loose, CallFailed("not here"))
        begun_s = now_s()

        await pair.hub.upkeep.last_words()

        assert now_s() - begun_s == pytest.approx(0.01, abs=NEARLY_S)

    scenario(body)


def test_last_words_that_nobody_acknowledges_are_over_with_the_lingering() -> None:
    async def body(pair: Pair) -> None:
        await close_unheard(pair)
        begun_s = now_s()

        await pair.hub.upkeep.last_words()

        assert 0.0 <= now_s() - begun_s - LINGER_S <= TICK_S + NEARLY_S
        assert pair.hub.holds == 0

    scenario(body)


def test_a_link_whose_message_the_server_takes_no_longer_fails_alone() -> None:
    async def body(pair: Pair) -> None:
        failed: list[Link] = []
        pair.hub.on_failure = lambda link, error: failed.append(link)
        too_large, other = pair.link(), pair.link(ATTACH + 1)
        for link in (too_large, other):
            link.send(LISTEN)
        await asyncio.sleep(1.0)
        pair.hub_bus.lose = lambda subject, data: True
        for link in (too_large, other):
            link.send(Silent(link.attach))

        def refuse(subject: str, data: bytes) -> bool:
            if decode(data).attach == ATTACH and decode(data).seq == 2:
                raise PayloadTooLarge(subject, 2, 1)
            return False

        pair.hub_bus.lose = refuse
        await asyncio.sleep(RESEND_S + ACK_DELAY_S + 3 * TICK_S)

        assert failed == [too_large]
        assert other.state.settled

    scenario(body)
