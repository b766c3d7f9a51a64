"""What a client does with the conversation's items: over real sockets, the workers in memory."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from gateway.scene import settle
from gateway.socket_scene import Caller, Event, Server
from support.virtual import run_over_sockets
from trunkline.proto import response as r
from trunkline.proto import speech as s

VENDOR: TypeAdapter[object] = TypeAdapter(RealtimeServerEvent)
CREATE, DELETE, RETRIEVE = "conversation.item.create", "conversation.item.delete", "conversation.item.retrieve"
TRUNCATE = "conversation.item.truncate"
SILENCE = bytes(4_800)
LONG = "This is a long answer of many words, which takes a while to be heard."


def with_caller(scenario: Callable[[Server, Caller], Awaitable[None]]) -> None:
    """Whatever was told is an event of the vendor's types."""

    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            await caller.until("session.created")
            await scenario(server, caller)
            for event in caller.seen[1:]:
                VENDOR.validate_python(event)

    run_over_sockets(main())


def message(item: str, text: str, role: str = "user", kind: str = "", **fields: object) -> Event:
    part = {"type": kind or ("output_text" if role == "assistant" else "input_text"), "text": text}
    return {"type": "message", "id": item, "role": role, "content": [part], **fields}


async def create(caller: Caller, item: Event, **fields: object) -> Event:
    await caller.send(type=CREATE, item=item, **fields)
    return await caller.until("conversation.item.done")


async def refused(caller: Caller, kind: str, **fields: object) -> tuple[str, str]:
    """(param, code) of the error that bears the event's own id."""
    await caller.send(type=kind, event_id="evt_bad", **fields)
    error = await caller.error()
    assert error["event_id"] == "evt_bad"
    assert error["type"] == "invalid_request_error"
    return error.get("param", ""), error["code"]


async def retrieved(caller: Caller, item: str) -> Event:
    await caller.send(type=RETRIEVE, item_id=item)
    event = await caller.until("conversation.item.retrieved")
    found: Event = event["item"]
    return found


def told(server: Server, kind: type) -> list[Any]:
    return server.scene.agent.last.all(kind)


def test_messages_of_every_role_are_put_where_the_client_says() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        first = await create(caller, message("u1", "one"))
        last = await create(caller, message("a1", "two", "assistant", phase="commentary"))
        root = await create(caller, message("s1", "zero", "system"), previous_item_id="root")
        between = await create(caller, message("u2", "one and a half"), previous_item_id="u1")
        end = await create(caller, message("u3", "three"), previous_item_id="")
        await settle()

        before = [event["previous_item_id"] for event in (first, last, root, between, end)]
        assert before == [None, "u1", None, "u1", "a1"]
        assert last["item"]["content"] == [{"type": "output_text", "text": "two"}]
        assert (last["item"]["phase"], last["item"]["status"]) == ("commentary", "completed")
        assert root["item"]["content"] == [{"type": "input_text", "text": "zero"}]
        assert [(turn.item, turn.text, turn.previous, turn.respond) for turn in told(server, r.Turn)] == [
            ("u1", "one", "", False),
            ("u2", "one and a half", "u1", False),
            ("u3", "three", "", False),
        ]
        assert told(server, r.Insert) == [
            r.Insert(r.Inserted("message", "a1", "assistant", "two", "commentary")),
            r.Insert(r.Inserted("message", "s1", "system", "zero"), "root"),
        ]

    with_caller(scenario)


def test_a_tool_call_that_the_client_adds_takes_an_output() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        call = {"type": "function_call", "id": "f1", "call_id": "call_x", "name": "look", "arguments": '{"at": 1}'}
        output = {"type": "function_call_output", "id": "o1", "call_id": "call_x", "output": "seen"}
        shown = await create(caller, call)
        answered = await create(caller, output)
        again = await refused(caller, CREATE, item=output | {"id": "o2"})
        taken = await refused(caller, CREATE, item=call | {"id": "f2"})
        await settle()

        assert (shown["item"]["name"], shown["item"]["arguments"]) == ("look", '{"at": 1}')
        assert answered["item"]["output"] == "seen"
        assert told(server, r.Insert) == [
            r.Insert(r.Inserted("function_call", "f1", text='{"at": 1}', call_id="call_x", name="look")),
            r.Insert(r.Inserted("function_call_output", "o1", text="seen", call_id="call_x")),
        ]
        assert told(server, r.ToolOutput) == []
        assert again == taken == ("item.call_id", "invalid_value")

    with_caller(scenario)


def test_a_call_that_was_deleted_can_be_added_again_with_its_output() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        call = {"type": "function_call", "id": "f1", "call_id": "call_x", "name": "look", "arguments": "{}"}
        output = {"type": "function_call_output", "id": "o1", "call_id": "call_x", "output": "seen"}
        for item in (call, output):
            await create(caller, item)
        for name in ("o1", "f1"):
            await caller.send(type=DELETE, item_id=name)
            await caller.until("conversation.item.deleted")
        for item in (call, output):
            await create(caller, item)
        await settle()

        changes = [m for m in server.scene.agent.last.got if isinstance(m, r.Insert | r.Retract)]
        assert [type(change).__name__ for change in changes] == ["Insert"] * 2 + ["Retract"] * 2 + ["Insert"] * 2

    with_caller(scenario)


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,x", "detail": "original"}
SOUND = {"type": "input_audio", "audio": "AAAA"}
BAD_ITEMS: dict[str, tuple[Event, str, str]] = {
    "no kind": ({"type": "nonsense"}, "item.type", "not_supported"),
    "no role": ({"type": "message", "content": []}, "item.role", "invalid_value"),
    "no words": (message("u1", " "), "item.content", "invalid_value"),
    "an id that is no id": (message("a b", "x"), "item.id", "invalid_value"),
    "the root": (message("root", "x"), "item.id", "invalid_value"),
    "original": ({"type": "message", "role": "user", "content": [IMAGE]}, "item.content[0].detail", "invalid_value"),
    "an image": ({"type": "message", "role": "system", "content": [IMAGE]}, "item.content[0].type", "not_supported"),
    "sound": ({"type": "message", "role": "user", "content": [SOUND]}, "item.content[0].audio", "not_supported"),
    "a part of another role": (message("u1", "x", kind="output_text"), "item.content[0].type", "not_supported"),
    "a user's phase": (message("u1", "x", phase="commentary"), "item.phase", "invalid_value"),
    "no phase": (message("u1", "x", "assistant", phase="loud"), "item.phase", "invalid_value"),
    "a message with an output": (message("u1", "x", output="y"), "item.output", "invalid_value"),
    "an unknown field": (message("u1", "x", colour="red"), "item.colour", "unknown_parameter"),
    "arguments that are no object": (
        {"type": "function_call", "name": "look", "arguments": "[]"},
        "item.arguments",
        "invalid_value",
    ),
    "a call without a name": (
        {"type": "function_call", "arguments": "{}"},
        "item.name",
        "missing_required_parameter",
    ),
    "an output of nothing": (
        {"type": "function_call_output", "call_id": "call_x", "output": "y"},
        "item.call_id",
        "item_not_found",
    ),
}


@pytest.mark.parametrize("what", BAD_ITEMS)
def test_an_item_that_cannot_be_had_is_refused_by_name_and_is_nowhere(what: str) -> None:
    item, param, code = BAD_ITEMS[what]

    async def scenario(server: Server, caller: Caller) -> None:
        assert await refused(caller, CREATE, item=item) == (param, code)
        await settle()

        assert not [m for m in server.scene.agent.last.got if isinstance(m, r.Turn | r.Insert | r.ToolOutput)]
        assert (await create(caller, message("u9", "Hi")))["previous_item_id"] is None

    with_caller(scenario)


def test_what_is_not_there_or_there_already_is_refused_in_the_vendor_s_words() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await create(caller, message("u1", "one"))
        cut = {"content_index": 0, "audio_end_ms": 10}

        assert await refused(caller, CREATE, item=message("u1", "x")) == ("item.id", "item_create_duplicate_item_id")
        nowhere = await refused(caller, CREATE, item=message("u2", "x"), previous_item_id="gone")
        assert nowhere == ("previous_item_id", "item_create_invalid_previous_item_id")
        assert await refused(caller, RETRIEVE, item_id="u2") == ("item_id", "item_retrieve_invalid_item_id")
        assert await refused(caller, DELETE, item_id="u2") == ("item_id", "item_delete_invalid_item_id")
        assert await refused(caller, TRUNCATE, item_id="u2", **cut) == ("item_id", "item_truncate_invalid_item_id")
        assert await refused(caller, TRUNCATE, item_id="u1", **cut) == ("item_id", "invalid_value")

    with_caller(scenario)


def test_a_transcript_stands_for_the_sound_that_a_client_no_longer_has() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        part = {"type": "input_audio", "audio": None, "transcript": "Hello."}
        item = {"type": "message", "id": "u1", "role": "user", "status": "completed", "content": [part]}
        done = await create(caller, item)
        await settle()

        assert done["item"]["content"] == [{"type": "input_audio", "transcript": "Hello."}]
        assert [turn.text for turn in told(server, r.Turn)] == ["Hello."]

    with_caller(scenario)


def test_a_deleted_item_is_gone_and_its_id_can_be_used_again_elsewhere() -> None:
    """As the JavaScript SDK changes a message of its history."""

    async def scenario(server: Server, caller: Caller) -> None:
        for item in ("u1", "u2", "u3"):
            await create(caller, message(item, item))
        await caller.send(type=DELETE, item_id="u2")
        deleted = await caller.until("conversation.item.deleted")
        gone = await refused(caller, DELETE, item_id="u2")
        again = await create(caller, message("u2", "changed"), previous_item_id="u1")
        after = await create(caller, message("u4", "x"), previous_item_id="u2")
        await settle()

        assert deleted["item_id"] == "u2"
        assert gone == ("item_id", "item_delete_invalid_item_id")
        assert [again["previous_item_id"], after["previous_item_id"]] == ["u1", "u2"]
        assert told(server, r.Retract) == [r.Retract(0, "u2")]
        assert (await retrieved(caller, "u2"))["content"] == [{"type": "input_text", "text": "changed"}]

    with_caller(scenario)


async def commits(server: Server, caller: Caller) -> str:
    """Half a second of sound, whose words are still to come. Returns its item."""
    await caller.send(type="session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    for _ in range(5):
        await caller.append(SILENCE)
    await caller.send(type="input_audio_buffer.commit")
    committed = await caller.until("input_audio_buffer.committed")
    await caller.until("conversation.item.done")
    await settle()
    return str(committed["item_id"])


def finish(server: Server, text: str) -> None:
    stt = server.scene.stt.last
    order = stt.all(s.Finish)[-1]
    assert isinstance(order, s.Finish)
    stt.say(s.Final(order.utterance, text, order.from_sample, order.to_sample))


def test_words_of_a_deleted_item_are_taken_back_before_anything_is_answered() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        item = await commits(server, caller)
        await caller.send(type="response.create")
        await caller.send(type=DELETE, item_id=item)
        await caller.until("conversation.item.deleted")
        finish(server, "Forget that.")
        await caller.until("response.done")

        got = [type(m).__name__ for m in server.scene.agent.last.got if isinstance(m, r.Turn | r.Retract | r.Respond)]
        assert got == ["Turn", "Retract", "Respond"]
        completed = "conversation.item.input_audio_transcription.completed"
        assert not [event for event in caller.seen if event["type"] == completed]

    with_caller(scenario)


def test_what_is_put_behind_words_that_are_still_to_come_waits_for_them() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        item = await commits(server, caller)
        await create(caller, message("a1", "Noted.", "assistant"), previous_item_id=item)
        await settle()
        early = told(server, r.Insert)
        finish(server, "Hello.")
        await settle()

        assert early == []
        got = [m for m in server.scene.agent.last.got if isinstance(m, r.Turn | r.Insert)]
        assert [type(m).__name__ for m in got] == ["Turn", "Insert"]
        assert got[1] == r.Insert(r.Inserted("message", "a1", "assistant", "Noted."), item)

    with_caller(scenario)


@pytest.mark.parametrize("outcome", ["nothing", "failed"])
def test_an_item_without_words_is_no_anchor_for_the_agent(outcome: str) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await create(caller, message("u1", "one"))
        item = await commits(server, caller)
        if outcome == "nothing":
            finish(server, "")
        else:
            [order] = server.scene.stt.last.all(s.Finish)
            assert isinstance(order, s.Finish)
            server.scene.stt.last.say(s.RecognitionFailed(order.utterance, "the engine is gone"))
        await settle()
        done = await create(caller, message("u2", "two"), previous_item_id=item)
        await settle()

        assert done["previous_item_id"] == item
        assert told(server, r.Turn)[-1].previous == "u1"

    with_caller(scenario)


def test_what_stands_behind_an_output_stands_there_for_the_agent_too_which_has_it_with_its_call() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        call = {"type": "function_call", "id": "f1", "call_id": "call_x", "name": "look", "arguments": "{}"}
        output = {"type": "function_call_output", "id": "o1", "call_id": "call_x", "output": "seen"}
        await create(caller, call)
        await create(caller, message("u1", "And meanwhile?"))
        await create(caller, output)
        await create(caller, message("u3", "Thanks."))
        done = await create(caller, message("u2", "So what is it?"), previous_item_id="o1")
        await settle()

        assert done["previous_item_id"] == "o1"
        assert told(server, r.Turn)[-1].previous == "u1"

    with_caller(scenario)


def test_an_output_may_be_put_behind_the_call_that_the_client_added() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        call = {"type": "function_call", "id": "f1", "call_id": "call_x", "name": "look", "arguments": "{}"}
        output = {"type": "function_call_output", "id": "o1", "call_id": "call_x", "output": "seen"}
        await create(caller, call)
        await create(caller, message("u1", "And meanwhile?"))
        elsewhere = await refused(caller, CREATE, item=output, previous_item_id="root")
        done = await create(caller, output, previous_item_id="f1")

        assert elsewhere == ("previous_item_id", "not_supported")
        assert done["previous_item_id"] == "f1"

    with_caller(scenario)


async def speaks(server: Server, caller: Caller) -> str:
    """The agent is in the middle of a long message. Returns its item."""
    server.scene.agent_mind.answer = LONG
    await caller.send(type="response.create")
    added = await caller.until("conversation.item.added")
    for _ in range(12):
        await caller.until("response.output_audio.delta")
    item = added["item"]
    assert isinstance(item, dict)
    return str(item["id"])


def test_a_message_that_is_deleted_is_said_no_further() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        item = await speaks(server, caller)
        await caller.send(type=DELETE, item_id=item)
        done = await caller.until("response.done")
        await caller.until("conversation.item.deleted")
        await settle()

        assert (done["response"]["status"], done["response"]["output"][0]["status"]) == ("cancelled", "incomplete")
        got = [m for m in server.scene.agent.last.got if isinstance(m, r.Interrupt | r.Retract)]
        assert [type(m).__name__ for m in got] == ["Interrupt", "Retract"]
        assert await refused(caller, RETRIEVE, item_id=item) == ("item_id", "item_retrieve_invalid_item_id")

    with_caller(scenario)


def test_a_message_that_is_deleted_is_said_no_further_though_another_response_waits() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await commits(server, caller)
        await caller.send(type="response.create")
        await settle()
        agent = server.scene.agent.last
        server.scene.agent_mind.speak(agent, "resp_news", 0, LONG)  # by itself, while words are waited for
        added = await caller.until("conversation.item.added")
        await caller.send(type=DELETE, item_id=added["item"]["id"])
        cut = await caller.until("response.done")
        finish(server, "Hello?")
        answer = await caller.until("response.done")

        assert (cut["response"]["id"], cut["response"]["status"]) == ("resp_news", "cancelled")
        assert answer["response"]["status"] == "completed"

    with_caller(scenario)


def test_what_is_retrieved_of_a_cut_message_is_what_was_heard() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        item = await speaks(server, caller)
        await caller.send(type=TRUNCATE, item_id=item, content_index=0, audio_end_ms=600)
        cut = await caller.until("conversation.item.truncated")
        found = await retrieved(caller, item)
        await caller.send(type=TRUNCATE, item_id=item, content_index=0, audio_end_ms=0)
        await caller.until("conversation.item.truncated")
        nothing = await retrieved(caller, item)
        beyond = await refused(caller, TRUNCATE, item_id=item, content_index=0, audio_end_ms=60_000)

        assert (cut["audio_end_ms"], found["status"]) == (600, "incomplete")
        assert found["content"] == [{"type": "output_audio", "transcript": "This is a"}]
        assert nothing["content"] == [{"type": "output_audio", "transcript": ""}]
        assert beyond == ("audio_end_ms", "invalid_value")

    with_caller(scenario)


def test_a_caller_who_interrupts_leaves_what_he_heard_and_is_told_of_no_truncation() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        item = await speaks(server, caller)
        await caller.send(type="response.cancel")
        done = await caller.until("response.done")
        found = await retrieved(caller, item)

        [part] = found["content"]
        assert part["transcript"]
        assert LONG.startswith(part["transcript"])
        assert len(part["transcript"]) < len(LONG)
        assert found == done["response"]["output"][0]
        assert not [event for event in caller.seen if event["type"] == "conversation.item.truncated"]

    with_caller(scenario)


def test_a_text_has_no_sound_to_cut() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="session.update", session={"type": "realtime", "output_modalities": ["text"]})
        await caller.send(type="response.create")
        done = await caller.until("response.done")
        [item] = done["response"]["output"]

        assert item["content"] == [{"type": "output_text", "text": "Fine."}]
        cut = await refused(caller, TRUNCATE, item_id=item["id"], content_index=0, audio_end_ms=0)
        assert cut == ("item_id", "invalid_value")

    with_caller(scenario)
