"""What an exchange carries between two workers, whatever the bus loses."""

import asyncio
import random

import msgspec
import pytest

from bus.pair import ATTACH, CALL, LISTEN, Pair, scenario
from trunkline.bus.adaptive_window import PERIOD_S
from trunkline.bus.exchange import LINGER_S
from trunkline.bus.port import Headers, PayloadTooLarge, Received
from trunkline.bus.windows import AudioWindows
from trunkline.proto import subjects
from trunkline.proto.audio import CALLER_STREAM, AudioChunk, decode_batch
from trunkline.proto.envelope import Envelope, Message, encode
from trunkline.proto.placement import Accepted
from trunkline.proto.speech import Listen, Silent, TurnRules
from trunkline.proto.tool import CancelTool


def test_a_placement_is_answered() -> None:
    async def body(pair: Pair) -> None:
        pair.link().send(LISTEN)
        await asyncio.sleep(0.01)
        assert (pair.at_worker, pair.at_hub) == ([LISTEN], [Accepted()])

    scenario(body)


def test_lost_messages_are_sent_again_and_arrive_in_order() -> None:
    async def body(pair: Pair) -> None:
        rng = random.Random(7)
        pair.hub_bus.lose = lambda subject, data: rng.random() < 0.3
        link = pair.link()
        link.send(LISTEN)
        for i in range(20):
            link.send(Silent(i))
        await asyncio.sleep(60)
        assert pair.at_worker == [LISTEN, *(Silent(i) for i in range(20))]
        assert link.state.settled

    scenario(body)


def test_a_late_placement_order_does_not_open_a_ghost() -> None:
    async def body(pair: Pair) -> None:
        first = pair.link()
        first.send(LISTEN)
        await asyncio.sleep(1)
        pair.placed[0].close()
        await asyncio.sleep(5)
        first.state.received = 0
        first.transmit(first.state.send(LISTEN, None, 0.0)._replace(seq=1))
        await asyncio.sleep(1)
        assert len(pair.placed) == 1

    scenario(body)


def test_a_message_of_a_later_release_is_skipped_and_the_next_arrives() -> None:
    async def body(pair: Pair) -> None:
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        later = ["tag_of_tomorrow", 1, 2]
        sent = link.state.send(Silent(0), None, 1.0)
        head = [CALL, pair.hub.address, 0, ATTACH, sent.seq, 1, 0, later]
        pair.hub_bus.publish(subjects.inbox("stt", "w", CALL), msgspec.msgpack.encode(head))
        link.send(Silent(9))
        await asyncio.sleep(1)
        assert pair.at_worker == [LISTEN, Silent(9)]
        assert link.state.settled

    scenario(body)


def test_garbage_goes_to_the_dead_subject_with_its_reason_and_nothing_else_happens() -> None:
    async def body(pair: Pair) -> None:
        dead: list[Received] = []
        await pair.hub_bus.subscribe(subjects.ALL_DEAD, dead.append)
        pair.hub_bus.publish(subjects.inbox("stt", "w", CALL), b"\xff\x00garbage")
        pair.hub_bus.publish(subjects.audio("stt", "w"), b"\x01\x02")
        pair.link().send(LISTEN)
        await asyncio.sleep(1)
        assert [message.subject for message in dead] == ["tl.v1.dead.stt"] * 2
        assert all(message.headers and message.headers["Reason"] for message in dead)
        assert pair.at_worker == [LISTEN]

    scenario(body)


def test_a_handler_that_raises_is_reported_for_its_own_link() -> None:
    async def body(pair: Pair) -> None:
        failures: list[str] = []
        pair.worker.on_failure = lambda link, error: failures.append(f"{link.call} {error}")
        pair.raise_on = Silent(1)
        link = pair.link()
        for message in (LISTEN, Silent(1), Silent(2)):
            link.send(message)
        await asyncio.sleep(1)
        assert failures == [f"{CALL} this call is broken"]
        assert pair.at_worker == [LISTEN, Silent(2)]

    scenario(body)


def test_audio_reaches_the_handle_it_was_bound_for_and_no_other_placement() -> None:
    async def body(pair: Pair) -> None:
        got: list[AudioChunk] = []
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(0.01)
        pair.placed[0].bind_audio(1, got.append)
        mine = AudioChunk(1, ATTACH, CALLER_STREAM, 0, b"\0\0")
        for chunk in (mine, AudioChunk(1, ATTACH + 1, CALLER_STREAM, 0, b"\0\0"), AudioChunk(2, ATTACH, 0, 0, b"\0\0")):
            link.send_audio(chunk)
        await asyncio.sleep(0.1)
        assert got == [mine]
        pair.placed[0].close()
        link.send_audio(mine)
        await asyncio.sleep(0.1)
        assert got == [mine]

    scenario(body)


def test_audio_of_many_calls_shares_messages() -> None:
    async def body(pair: Pair) -> None:
        batches: list[Received] = []
        await pair.hub_bus.subscribe(subjects.audio("gateway", "gw"), batches.append)
        for _ in range(50):
            for handle in range(20):
                pair.worker.windows.add("gateway.gw", AudioChunk(handle, ATTACH, 1, 480, b"\0" * 640))
                await asyncio.sleep(0.0005)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(batches) < 50 * 20 / 2

    scenario(body)


@pytest.mark.parametrize(("position", "last"), [(0, False), (960, True)])
def test_the_first_chunk_of_a_segment_and_its_last_take_the_window_with_them(position: int, last: bool) -> None:
    async def body(pair: Pair) -> None:
        batches: list[Received] = []
        await pair.hub_bus.subscribe(subjects.audio("gateway", "gw"), batches.append)
        await crowd(pair.worker.windows)
        batches.clear()
        pair.worker.windows.add("gateway.gw", AudioChunk(2, ATTACH, 1, 480, b"\0\0"))
        await asyncio.sleep(0.001)
        assert batches == []
        pair.worker.windows.add("gateway.gw", AudioChunk(1, ATTACH, 1, position, b"\0\0", last=last))
        await asyncio.sleep(0)
        assert [len(decode_batch(received.data).chunks) for received in batches] == [2]

    scenario(body)


async def crowd(windows: AudioWindows) -> None:
    """As many calls as make the window wide."""
    for _ in range(2):
        for handle in range(20):
            windows.add("gateway.gw", AudioChunk(handle, ATTACH, 1, 480, b"\0\0"))
        await asyncio.sleep(PERIOD_S)


def test_frames_that_have_waited_at_the_edge_go_in_the_turn_of_the_loop_that_brings_them() -> None:
    async def body(pair: Pair) -> None:
        batches: list[Received] = []
        await pair.hub_bus.subscribe(subjects.audio("stt", "w"), batches.append)
        for _ in range(2):
            for handle in range(20):
                pair.hub.windows.add("stt.w", AudioChunk(handle, ATTACH, CALLER_STREAM, 320, b"\0\0"))
            await asyncio.sleep(PERIOD_S)
        batches.clear()
        for handle in range(20):
            pair.hub.windows.add("stt.w", AudioChunk(handle, ATTACH, CALLER_STREAM, 640, b"\0\0"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [len(decode_batch(received.data).chunks) for received in batches] == [20]

    scenario(body)


def test_a_posted_message_that_nobody_hears_is_reported() -> None:
    async def body(pair: Pair) -> None:
        unheard: list[str] = []
        pair.hub.on_no_responders = unheard.append
        pair.hub.post(subjects.tool("get_weather", CALL), CALL, CancelTool("call_1"))
        await asyncio.sleep(0.01)
        assert unheard == [CALL]

    scenario(body)


def test_a_loose_message_reaches_the_worker_it_is_posted_to() -> None:
    async def body(pair: Pair) -> None:
        got: list[Message] = []
        pair.worker.on_loose = lambda envelope, headers: got.append(envelope.message)
        pair.hub.post(subjects.inbox("stt", "w", CALL), CALL, CancelTool("call_1"))
        await asyncio.sleep(0.01)
        assert got == [CancelTool("call_1")]

    scenario(body)


def test_a_sender_that_is_no_address_keeps_nothing_else_from_arriving() -> None:
    async def body(pair: Pair) -> None:
        nonsense = encode(Envelope(CALL, "nobody", 0, ATTACH, 1, 0, 0, LISTEN))
        pair.link().send(LISTEN)
        pair.hub_bus.publish(subjects.inbox("stt", "w", CALL), nonsense)
        pair.link(ATTACH + 1).send(LISTEN)
        await asyncio.sleep(0.01)
        assert pair.at_worker == [LISTEN, LISTEN]

    scenario(body)


def test_a_loose_handler_that_raises_keeps_nothing_else_from_arriving() -> None:
    async def body(pair: Pair) -> None:
        def refuse(envelope: Envelope, headers: Headers | None) -> None:
            raise RuntimeError("not this one")

        pair.worker.on_loose = refuse
        pair.hub.post(subjects.inbox("stt", "w", CALL), CALL, CancelTool("call_1"))
        pair.link().send(LISTEN)
        await asyncio.sleep(0.01)
        assert pair.at_worker == [LISTEN]

    scenario(body)


def test_a_message_that_is_too_large_raises_and_leaves_its_link_and_the_others_as_they_were() -> None:
    async def body(pair: Pair) -> None:
        too_large, other = pair.link(), pair.link(ATTACH + 1)
        for link in (too_large, other):
            link.send(LISTEN)
        with pytest.raises(PayloadTooLarge):
            too_large.send(Listen(1, 0, TurnRules(), language="x" * pair.hub_bus.max_payload))
        pair.hub_bus.lose = lambda subject, data: True
        for link in (too_large, other):
            link.send(Silent(1))
        await asyncio.sleep(0.1)
        pair.hub_bus.lose = lambda subject, data: False
        await asyncio.sleep(3)
        assert pair.at_worker == [LISTEN, LISTEN, Silent(1), Silent(1)]
        assert too_large.state.settled
        assert other.state.settled

    scenario(body)


def test_a_part_of_what_came_for_many_never_overtakes_what_its_own_link_said_before() -> None:
    async def body(pair: Pair) -> None:
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        pair.worker_bus.lose = lambda subject, data: True
        pair.placed[0].send(Silent(1))
        pair.worker_bus.lose = lambda subject, data: False
        pair.hub.hand(link.key, 2, Silent(2))
        early = list(pair.at_hub)
        await asyncio.sleep(1)
        pair.hub.hand(link.key, 2, Silent(3))
        link.close()
        pair.hub.hand(link.key, 2, Silent(4))
        assert early == [Accepted()]
        assert pair.at_hub == [Accepted(), Silent(1), Silent(3)]

    scenario(body)


def test_what_was_said_last_still_arrives_when_a_worker_stops() -> None:
    async def body(pair: Pair) -> None:
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        pair.worker_bus.lose = lambda subject, data: True
        pair.placed[0].send(Silent(7))
        pair.placed[0].close()
        pair.worker_bus.lose = lambda subject, data: False
        await pair.worker.stop()
        await asyncio.sleep(0.01)
        assert pair.at_hub == [Accepted(), Silent(7)]

    scenario(body)


def test_a_worker_whose_peer_is_gone_stops_all_the_same() -> None:
    async def body(pair: Pair) -> None:
        pair.link().send(LISTEN)
        await asyncio.sleep(1)
        pair.hub_bus.lose = lambda subject, data: True
        pair.placed[0].send(Silent(7))
        pair.placed[0].close()
        begun_s = pair.worker.now_s()
        await pair.worker.stop()
        assert pair.worker.now_s() - begun_s < LINGER_S + 0.2

    scenario(body)
