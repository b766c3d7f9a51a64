"""A placement that a worker doesn't have (any more) is said to whoever believes it to be there, once and loosely."""

import asyncio

import pytest

from bus.pair import ATTACH, CALL, LISTEN, Pair, scenario
from trunkline.bus.exchange import LINGER_S
from trunkline.bus.link import UNACKED_LIMIT, PeerTakesNothing
from trunkline.proto import subjects
from trunkline.proto.envelope import Envelope, Message, encode
from trunkline.proto.placement import Accepted, CallFailed, Release, Superseded
from trunkline.proto.speech import Silent

GONE = CallFailed("the call is not here")


def refuse_strays(pair: Pair) -> list[Message]:
    """The worker answers GONE; returns what it was asked about."""
    strays: list[Message] = []

    def answer(envelope: Envelope) -> Message:
        strays.append(envelope.message)
        return GONE

    pair.worker.on_stray = answer
    return strays


def test_a_message_to_a_closed_placement_is_answered_to_the_hubs_handler() -> None:
    async def body(pair: Pair) -> None:
        refuse_strays(pair)
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        pair.placed[0].close()
        await asyncio.sleep(LINGER_S + 1)
        link.send(Silent(1))
        await asyncio.sleep(0.01)
        assert pair.at_hub == [Accepted(), GONE]

    scenario(body)


def test_a_message_to_a_placement_never_heard_of_is_answered() -> None:
    async def body(pair: Pair) -> None:
        refuse_strays(pair)
        link = pair.link()
        link.state.send(LISTEN, None, 0.0)  # went to the worker's earlier life
        link.send(Silent(1))
        await asyncio.sleep(0.01)
        assert pair.at_hub == [GONE]

    scenario(body)


@pytest.mark.parametrize("last_word", [Release("moved"), GONE, Superseded(ATTACH + 1)])
def test_last_words_are_never_answered(last_word: Message) -> None:
    async def body(pair: Pair) -> None:
        strays = refuse_strays(pair)
        link = pair.link()
        for seq in (0, 2):
            envelope = Envelope(CALL, pair.hub.address, 0, ATTACH, seq, 0, 0, last_word)
            pair.hub_bus.publish(subjects.inbox("stt", "w", CALL), encode(envelope))
        await asyncio.sleep(0.01)
        assert (strays, pair.at_hub) == ([], [])
        link.close()

    scenario(body)


def test_a_worker_without_calls_of_its_own_answers_nothing() -> None:
    async def body(pair: Pair) -> None:
        link = pair.link()
        link.state.send(LISTEN, None, 0.0)
        link.send(Silent(1))
        await asyncio.sleep(0.01)
        assert pair.at_hub == []

    scenario(body)


def test_a_refusal_reaches_only_the_placement_that_it_is_about() -> None:
    async def body(pair: Pair) -> None:
        loose: list[Message] = []
        pair.hub.on_loose = lambda envelope, headers: loose.append(envelope.message)
        pair.link(ATTACH + 1).send(LISTEN)
        await asyncio.sleep(0.01)
        pair.worker.on_stray = lambda envelope: Superseded(ATTACH + 1)
        pair.hub_bus.publish(
            subjects.inbox("stt", "w", CALL), encode(Envelope(CALL, pair.hub.address, 0, ATTACH, 2, 0, 0, Silent(1)))
        )
        await asyncio.sleep(0.01)
        assert (pair.at_hub, loose) == ([Accepted()], [])

    scenario(body)


def test_a_handler_that_raises_at_a_refusal_is_reported_for_its_own_link() -> None:
    async def body(pair: Pair) -> None:
        failures: list[str] = []
        pair.hub.on_failure = lambda link, error: failures.append(str(error))
        link = pair.link()

        def refuse(message: Message, headers: object) -> None:
            raise RuntimeError("no")

        link.send(LISTEN)
        await asyncio.sleep(0.01)
        link.handler = refuse
        pair.placed[0].send_loose(Superseded(ATTACH + 1))
        await asyncio.sleep(0.01)
        assert failures == ["no"]

    scenario(body)


def test_a_closed_link_is_carried_as_long_as_it_lingers_and_no_longer() -> None:
    async def body(pair: Pair) -> None:
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        pair.hub_bus.lose = lambda subject, data: True
        link.send(Release("moved"))
        link.close(linger_s=30.0)
        await asyncio.sleep(25)
        assert pair.at_worker[-1] == LISTEN
        pair.hub_bus.lose = lambda subject, data: False
        await asyncio.sleep(3)
        assert Release("moved") == pair.at_worker[-1]

    scenario(body)


def test_a_hub_that_stops_does_not_wait_for_the_whole_lingering() -> None:
    async def body(pair: Pair) -> None:
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        pair.hub_bus.lose = lambda subject, data: True
        link.send(Release("moved"))
        link.close(linger_s=30.0)
        begun_s = pair.hub.now_s()
        await pair.hub.stop()
        assert pair.hub.now_s() - begun_s < LINGER_S + 0.2

    scenario(body)


def test_a_refusal_ends_the_lingering_of_a_closed_link() -> None:
    async def body(pair: Pair) -> None:
        refuse_strays(pair)
        link = pair.link()
        link.state.send(LISTEN, None, 0.0)
        link.send(Silent(1))
        link.close(linger_s=30.0)
        begun_s = pair.hub.now_s()
        await pair.hub.stop()
        assert pair.hub.now_s() - begun_s < 0.2

    scenario(body)


def test_a_peer_that_takes_nothing_fails_the_call_once() -> None:
    async def body(pair: Pair) -> None:
        failures: list[Exception] = []
        pair.hub.on_failure = lambda link, error: failures.append(error)
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        pair.hub_bus.lose = lambda subject, data: True
        for i in range(UNACKED_LIMIT):
            link.send(Silent(i))
        await asyncio.sleep(0.01)
        assert failures == []
        link.send(Silent(0))
        link.send(Silent(0))
        assert failures == []
        await asyncio.sleep(0.01)
        (failure,) = failures
        assert isinstance(failure, PeerTakesNothing)
        assert failure.peer == "stt.w"

    scenario(body)


def test_a_worker_that_asks_hears_of_a_hub_that_gave_up_its_call() -> None:
    async def body(pair: Pair) -> None:
        pair.hub.on_stray = lambda envelope: Release("moved")
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        link.close()
        await asyncio.sleep(LINGER_S + 1)
        pair.worker.ask()
        await asyncio.sleep(0.01)
        assert pair.at_worker == [LISTEN, Release("moved")]

    scenario(body)


def test_a_worker_that_asks_of_a_call_that_goes_on_hears_nothing() -> None:
    async def body(pair: Pair) -> None:
        pair.hub.on_stray = lambda envelope: Release("moved")
        pair.link().send(LISTEN)
        await asyncio.sleep(1)
        pair.worker.ask()
        await asyncio.sleep(1)
        assert pair.at_worker == [LISTEN]

    scenario(body)
