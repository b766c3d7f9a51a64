"""A caller whose gateway dies, drains or lets go comes back to another one, and the call goes on."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from support.virtual import run_over_sockets
from system.whole import KEY, Whole
from trunkline.agent.models.scripted import ScriptedModel, Words
from trunkline.audio import dtmf
from trunkline.audio.pcm import Samples
from trunkline.cli import line
from trunkline.cli.line import Line
from trunkline.client import connect
from trunkline.gateway.dialects.realtime.peer import Peer
from trunkline.gateway.resuming import Resumption, TakenUp
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.record import CallerSaid, Event, HubAttached, PlayedOut, SegmentSaid
from trunkline.record import CallView, Reading, ResponseView, read_call

LONG = "You said {words}. This is the second sentence. This is the third one. Here is a fourth. And this is the fifth."

BOTH = pytest.mark.parametrize("binary", [False, True])  # dialects, of the caller's


def keyed(digits: str) -> Line:
    samples: Samples = dtmf.tones(digits, SPEECH_RATE_HZ, tone_ms=120, gap_ms=60)
    return line.make(samples, SPEECH_RATE_HZ)


def whole(**options: object) -> Whole:
    model = ScriptedModel([[[Words(LONG, "final_answer")]]])
    return Whole(model=model, gateways=2, stt="digits", **options)  # type: ignore[arg-type]


def run(main: Coroutine[None, None, None]) -> None:
    run_over_sockets(main)


def turns_of(events: list[Event]) -> list[tuple[int, str]]:
    return [(event.turn, event.text) for event in events if isinstance(event, CallerSaid)]


def said_once(events: list[Event]) -> None:
    """Each segment was recorded once, and played once."""
    said = [(event.item, event.index) for event in events if isinstance(event, SegmentSaid)]
    played = [(event.item, event.index) for event in events if isinstance(event, PlayedOut)]
    assert len(said) == len(set(said))
    assert sorted(played) == sorted(said)


async def until_on_record(stack: Whole, call: str, response: str) -> None:
    while True:
        found = await read_call(stack.store, call)
        assert found is not None
        if response in found[0].responses:
            return
        await asyncio.sleep(0)


def said_in(view: CallView, response: ResponseView) -> str:
    return "".join(view.items[item].text for item in response.items)


@BOTH
def test_a_gateway_killed_in_mid_answer_costs_the_caller_no_sample_of_it(binary: bool) -> None:
    async def main() -> None:
        async with whole(binary=binary) as stack:
            async with stack.caller() as caller:
                await caller.greeting()
                turn = await caller.say(keyed("4711"))
                await caller.reply_heard(turn, 0.5)
                await stack.kill_gateway(0)
                await caller.reply(turn)
                assert caller.resumed == 1
                again = await caller.say(keyed("0815"))
                await caller.reply(again)
            view, events = await stack.record(caller.call_id)

        assert turns_of(events) == [(1, "4711"), (2, "0815")]
        assert [item.text for item in turn.items] == [LONG.replace("{words}", "4711")]
        assert [item.text for item in again.items] == [LONG.replace("{words}", "0815")]
        assert len([r for r in view.responses.values() if r.turn]) == 2
        assert len([event for event in events if isinstance(event, HubAttached)]) == 2
        said_once(events)
        for heard in (turn, again):
            lengths = [caller.listener.player.heard(item.item, caller.now + 10**9) for item in heard.items]
            assert lengths == [5 * SPEECH_RATE_HZ * 300 // 1000]

    run(main())


@BOTH
def test_a_gateway_killed_in_mid_utterance_costs_the_caller_no_word(binary: bool) -> None:
    async def main() -> None:
        async with whole(binary=binary) as stack:
            async with stack.caller() as caller:
                await caller.greeting()
                saying = asyncio.create_task(caller.say(keyed("123456")))
                await asyncio.sleep(0.5)
                await stack.kill_gateway(0)
                turn = await saying
                await caller.reply(turn)
                assert caller.resumed == 1
            _, events = await stack.record(caller.call_id)

        assert turns_of(events) == [(1, "123456")]
        assert list(turn.transcripts.values()) == ["123456"]
        assert [item.text for item in turn.items] == [LONG.replace("{words}", "123456")]
        said_once(events)

    run(main())


@BOTH
def test_a_gateway_that_drains_has_its_caller_move(binary: bool) -> None:
    async def main() -> None:
        async with whole(binary=binary) as stack:
            async with stack.caller() as caller:
                await caller.greeting()
                turn = await caller.say(keyed("4711"))
                await caller.reply_heard(turn, 0.5)
                began_s = asyncio.get_running_loop().time()
                await stack.drain_gateway(0)
                assert asyncio.get_running_loop().time() - began_s < 1.0
                await caller.reply(turn)
                assert caller.resumed == 1
                assert caller.listener.player.underruns == 0
            view, events = await stack.record(caller.call_id)

        assert view.ended is not None
        assert view.ended.reason == "caller_hung_up"
        assert [item.text for item in turn.items] == [LONG.replace("{words}", "4711")]
        said_once(events)

    run(main())


def test_a_caller_who_hangs_up_when_the_gateway_has_just_died_has_hung_up() -> None:
    async def main() -> None:
        async with whole() as stack:
            async with stack.caller() as caller:
                await caller.greeting()
                await stack.kill_gateway(0)
            view, _ = await stack.record(caller.call_id)

        assert view.ended is not None
        assert view.ended.reason == "caller_hung_up"

    run(main())


def test_a_caller_who_finds_no_other_gateway_within_a_drain_goes_on_when_there_is_one() -> None:
    async def main() -> None:
        async with whole() as stack:
            draining, other = stack.gateways
            async with stack.caller() as caller:
                await caller.greeting()
                turn = await caller.say(keyed("4711"))
                await caller.reply_heard(turn, 0.3)
                other._calls.draining = True  # takes nothing
                await draining.drain(0.3)
                assert draining.load()[0] == 0
                await asyncio.sleep(0.3)
                other._calls.draining = False
                await caller.reply(turn)
                await caller.reply(await caller.say(keyed("0815")))
                assert caller.resumed == 1
            view, events = await stack.record(caller.call_id)

        assert view.ended is not None
        assert view.ended.reason == "caller_hung_up"
        assert turns_of(events) == [(1, "4711"), (2, "0815")]
        assert [item.text for item in turn.items] == [LONG.replace("{words}", "4711")]
        said_once(events)

    run(main())


def test_a_call_that_a_drained_gateway_let_go_of_and_nobody_came_back_for_is_lost() -> None:
    async def main() -> None:
        async with whole(window_s=0.5) as stack:
            async with stack.caller() as caller:
                await caller.greeting()
                assert caller._call is not None
                caller._call._keeper.cancel()  # type: ignore[union-attr]  # nobody is there to move or to come back
                await stack.gateways[0].drain(0.1)
                found = await read_call(stack.store, caller.call_id)
                await stack.gateway_buses[0].close()
                view, _ = await stack.record(caller.call_id)

            assert found is not None
            assert found[0].ended is None
            assert view.ended is not None
            assert view.ended.reason == "lost"
            held = [process._service.load()[0] for process in stack.processes.values()]  # type: ignore[union-attr]
            assert held == [0] * len(held)

    run(main())


def test_a_turn_that_ends_while_a_busy_gateway_takes_the_call_up_is_heard_once(monkeypatch: pytest.MonkeyPatch) -> None:
    take_up = Resumption.take_up

    async def take_up_late(self: Resumption, record: Reading, *args: Any) -> TakenUp:
        while True:
            if (await self.read_on(record)).heard_to:
                return await take_up(self, record, *args)
            await asyncio.sleep(0.02)

    async def main() -> None:
        monkeypatch.setattr(Resumption, "take_up", take_up_late)
        async with whole() as stack:
            async with stack.caller() as caller:
                await caller.greeting()
                saying = asyncio.create_task(caller.say(keyed("471108")))
                await asyncio.sleep(0.3)
                await stack.drain_gateway(0)
                turn = await saying
                await caller.reply(turn)
                again = await caller.say(keyed("0815"))
                await caller.reply(again)
                assert caller.resumed == 1
            _, events = await stack.record(caller.call_id)

        assert turns_of(events) == [(1, "471108"), (2, "0815")]
        assert list(turn.transcripts.values()) == ["471108"]

    run(main())


def test_a_caller_who_does_not_come_back_leaves_a_call_that_is_lost() -> None:
    async def main() -> None:
        async with whole(window_s=0.5) as stack:
            async with stack.caller() as caller:
                await caller.greeting()
                call = caller.call_id
                assert caller._call is not None
                socket = caller._call._socket
                assert socket is not None
                caller._call._keeper.cancel()  # type: ignore[union-attr]  # nobody is there to come back
                socket._websocket._response.connection.transport.abort()  # type: ignore[union-attr]
                view, _ = await stack.record(call)

            assert view.ended is not None
            assert view.ended.reason == "lost"
            assert [gateway.load()[0] for gateway in stack.gateways] == [0, 0]

    run(main())


@pytest.mark.parametrize("deaf", [True, False])
def test_what_is_typed_to_a_gateway_that_dies_is_taken_and_answered_once(deaf: bool) -> None:
    """deaf: the agent heard of none of it; else it has all on record, and the caller has heard nothing yet."""

    async def main() -> None:
        async with whole() as stack:
            urls = [address.realtime for address in stack.addresses]
            async with connect(urls, KEY) as call:
                events = aiter(call)
                while (await anext(events)).type != "response.done":  # of the greeting
                    pass
                bus = stack.gateway_buses[0]
                publish = bus.publish

                def deafen(subject: str, data: bytes, **options: object) -> None:
                    if not deaf or ".agent." not in subject:
                        publish(subject, data, **options)  # type: ignore[arg-type]  # handed on as they came

                bus.publish = deafen  # type: ignore[method-assign]
                content = [{"type": "input_text", "text": "4711"}]
                item = {"type": "message", "id": "item_mine", "role": "user", "content": content}
                call.send({"type": "conversation.item.create", "item": item})
                call.send({"type": "response.create", "event_id": "resp_mine"})
                while (event := await anext(events)).type != "conversation.item.done":
                    pass
                if not deaf:
                    await until_on_record(stack, call.id, "resp_mine")
                await stack.kill_gateway(0)
                while (event := await anext(events)).type != "response.done":
                    pass
                assert call.resumed == 1
            view, recorded = await stack.record(call.id)

        assert event.response.id == "resp_mine"
        assert [item.id for item in view.items.values() if item.role == "user"] == ["item_mine"]
        assert [one.id for one in view.responses.values() if "4711" in said_in(view, one)] == ["resp_mine"]
        said = [(event.item, event.index) for event in recorded if isinstance(event, SegmentSaid)]
        assert len(said) == len(set(said))

    run(main())


def test_updates_that_were_refused_keep_no_gateway_from_taking_the_call_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the caller has seen the refusal of one or its gateway died before: each is answered once."""

    async def main() -> None:
        refusals: list[str | None] = []
        async with whole() as stack:
            urls = [address.realtime for address in stack.addresses]
            async with connect(urls, KEY) as call:
                events = aiter(call)
                for name, session in (("evt_1", {"tools": [{}]}), ("evt_2", {"audio": {"output": {"speed": 1.2}}})):
                    whole_one = {"type": "realtime"} | session
                    call.send({"type": "session.update", "event_id": name, "session": whole_one})
                while (event := await anext(events)).type != "session.updated":
                    refusals += [event.error.event_id] if event.type == "error" else []
                with monkeypatch.context() as deaf:
                    deaf.setattr(Peer, "take", lambda *_: None)
                    call.send({"type": "session.update", "event_id": "evt_3", "session": {"nonsense": 1}})
                    rhyme = {"type": "realtime", "instructions": "Rhyme."}
                    call.send({"type": "session.update", "event_id": "evt_4", "session": rhyme})
                    await asyncio.sleep(0.05)
                    await stack.kill_gateway(0)
                while (event := await anext(events)).type != "session.updated":
                    refusals += [event.error.event_id] if event.type == "error" else []
                assert call.resumed == 1

        session = json.loads(event.text)["session"]
        assert refusals == ["evt_1", "evt_3"]
        assert (session["instructions"], session["audio"]["output"]["speed"]) == ("Rhyme.", 1.2)

    run(main())


def test_words_that_the_caller_was_told_and_no_record_has_are_heard_again_as_the_same_item() -> None:
    async def main() -> None:
        async with whole() as stack:
            async with stack.caller() as caller:
                await caller.greeting()
                bus = stack.gateway_buses[0]
                publish = bus.publish

                def deafen(subject: str, data: bytes, **options: object) -> None:
                    """The agent hears nothing of this gateway any more."""
                    if ".agent." not in subject:
                        publish(subject, data, **options)  # type: ignore[arg-type]  # handed on as they came

                bus.publish = deafen  # type: ignore[method-assign]
                turn = await caller.say(keyed("4711"))
                await caller._until(lambda: bool(turn.transcripts), 10.0, "no words came")
                await stack.kill_gateway(0)
                await caller.reply(turn)
            view, events = await stack.record(caller.call_id)

        assert turns_of(events) == [(1, "4711")]
        assert list(turn.transcripts.values()) == ["4711"]
        assert next(iter(turn.transcripts)) in view.items

    run(main())
