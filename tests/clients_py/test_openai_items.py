"""The conversation as the package `openai` edits it: what is put where, read back, taken away and cut short."""

import asyncio
from typing import Any

import pytest

from clients_py.scene import Desk, line, sound
from support.virtual import run_over_sockets

pytestmark = pytest.mark.clients

LONG_MS = 3_000
LONG_ANSWER = "You said How long is the road to the sea."
CUTS = ("conversation.item.truncated", "response.done")
HELLO: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}


def saying(role: str, text: str, **fields: Any) -> Any:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}


def test_an_item_is_put_where_the_client_says_and_the_model_reads_them_in_that_order() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(output_modalities=["text"])
            items = mine.call.conversation.item
            await items.create(item=saying("user", "second", id="item_2"))
            await mine.until("conversation.item.done")
            await items.create(item=saying("user", "first", id="item_1"), previous_item_id="root")
            root = await mine.until("conversation.item.added")
            await items.create(item=saying("assistant", "between", id="item_b"), previous_item_id="item_1")
            between = await mine.until("conversation.item.added")
            await items.create(item=saying("system", "Rhyme.", id="item_s"), previous_item_id="item_2")
            last = await mine.until("conversation.item.added")
            await mine.call.response.create()
            response = await mine.done()
            opened = [event for event in mine.seen if event.type == "conversation.item.added"][-1]

            assert root.previous_item_id is None
            assert between.previous_item_id == "item_1"
            assert last.previous_item_id == "item_2"
            assert opened.previous_item_id == "item_s"
            assert [text for _, text in desk.asked.told] == ["first", "between", "second", "Rhyme."]
            assert response.status == "completed"

    run_over_sockets(main())


def test_a_tool_call_and_its_output_are_items_that_a_client_can_bring() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(output_modalities=["text"])
            items = mine.call.conversation.item
            await items.create(item=HELLO)
            call: Any = {
                "type": "function_call",
                "call_id": "call_mine",
                "name": "open_page",
                "arguments": '{"page":7}',
            }
            await items.create(item=call)
            output: Any = {"type": "function_call_output", "call_id": "call_mine", "output": '{"open": true}'}
            await items.create(item=output)
            await mine.call.response.create()
            response = await mine.done()

            assert response.status == "completed"
            assert desk.asked.told == [
                ("user", "Hello"),
                ("ToolCallItem", '{"page":7}'),
                ("ToolOutputItem", '{"open": true}'),
            ]

    run_over_sockets(main())


def test_an_item_is_read_back_as_it_is() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            item = await mine.types("Hello")
            answer = (await mine.asks("Goodbye")).output[0]
            read = []
            for name in (item, answer.id):
                await mine.call.conversation.item.retrieve(item_id=name)
                read.append((await mine.until("conversation.item.retrieved")).item)

            assert [(one.role, one.status) for one in read] == [("user", "completed"), ("assistant", "completed")]
            assert read[0].content[0].text == "Hello"
            assert read[1] == answer

    run_over_sockets(main())


def test_a_deleted_item_is_gone_for_the_client_and_for_the_model() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(output_modalities=["text"])
            wrong = await mine.types("Wrong number")
            await mine.call.conversation.item.delete(item_id=wrong, event_id="evt_delete")
            deleted = await mine.until("conversation.item.deleted")
            await mine.call.conversation.item.retrieve(item_id=wrong, event_id="evt_retrieve")
            error = await mine.error()
            await mine.asks("Hello")

            assert deleted.item_id == wrong
            assert (error.event_id, error.param) == ("evt_retrieve", "item_id")
            assert desk.asked.told == [("user", "Hello")]

    run_over_sockets(main())


def test_the_agent_s_answer_can_be_deleted() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(output_modalities=["text"])
            answer = (await mine.asks("Hello")).output[0]
            await mine.call.conversation.item.delete(item_id=answer.id)
            await mine.until("conversation.item.deleted")
            await mine.asks("Goodbye")

            assert desk.asked.told == [("user", "Hello"), ("user", "Goodbye")]

    run_over_sockets(main())


@pytest.mark.parametrize("first", ["truncate", "cancel"])
def test_a_truncated_answer_has_the_words_that_were_heard(first: str) -> None:
    async def main() -> None:
        async with Desk(segment_ms=LONG_MS) as desk, line(desk) as mine:
            await mine.types("How long is the road to the sea")
            await mine.call.response.create()
            item = (await mine.until("response.output_item.added")).item.id
            await mine.until("response.output_audio.delta")
            await asyncio.sleep(1.5)
            if first == "cancel":
                await mine.call.response.cancel()
            await mine.call.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=900)
            if first == "truncate":
                await mine.call.response.cancel()
            told = {event.type: event for event in [await mine.until(*CUTS), await mine.until(*CUTS)]}
            await mine.call.conversation.item.retrieve(item_id=item)
            read = (await mine.until("conversation.item.retrieved")).item
            await mine.asks("Go on")

            cut = told["conversation.item.truncated"]
            heard = read.content[0].transcript
            assert told["response.done"].response.status == "cancelled"
            assert (cut.item_id, cut.content_index) == (item, 0)
            assert cut.audio_end_ms <= 900
            assert read.status == "incomplete"
            assert 0 < len(heard) < len(LONG_ANSWER)
            assert LONG_ANSWER.startswith(heard)
            assert desk.asked.told[1] == ("assistant", heard)

    run_over_sockets(main())


def test_an_answer_that_was_sent_whole_is_truncated_afterwards() -> None:
    async def main() -> None:
        async with Desk(segment_ms=LONG_MS) as desk, line(desk) as mine:
            response = await mine.asks("How long is the road to the sea")
            item = response.output[0].id
            await mine.call.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=600)
            cut = await mine.until("conversation.item.truncated")
            await mine.asks("Go on")

            assert response.status == "completed"
            assert len(sound(mine.seen, item)) >= 2 * 24_000 * LONG_MS // 1000
            assert (cut.item_id, cut.audio_end_ms) == (item, 600)
            said = desk.asked.told[1][1]
            assert 0 < len(said) < len(LONG_ANSWER)

    run_over_sockets(main())


async def create(mine: Any, item: Any, **where: Any) -> None:
    await mine.call.conversation.item.create(item=item, event_id="evt_mine", **where)


REFUSED: dict[str, tuple[Any, str]] = {  # what -> (what the client says, the parameter that is wrong)
    "a place that isn't there": (lambda mine: create(mine, HELLO, previous_item_id="item_x"), "previous_item_id"),
    "an id that is taken": (lambda mine: create(mine, HELLO | {"id": "item_1"}), "item.id"),
    "a user's words in an assistant's form": (
        lambda mine: create(mine, HELLO | {"content": [{"type": "output_text", "text": "Hello"}]}),
        "item.content[0].type",
    ),
    "an assistant's in a user's": (lambda mine: create(mine, HELLO | {"role": "assistant"}), "item.content[0].type"),
    "no text": (lambda mine: create(mine, HELLO | {"content": []}), "item.content"),
    "a role that there isn't": (lambda mine: create(mine, HELLO | {"role": "narrator"}), "item.role"),
    "a kind that there isn't": (lambda mine: create(mine, {"type": "song"}), "item.type"),
    "a tool call without a name": (
        lambda mine: create(mine, {"type": "function_call", "arguments": "{}", "call_id": "call_a"}),
        "item.name",
    ),
    "an output of nothing": (
        lambda mine: create(mine, {"type": "function_call_output", "call_id": "call_x", "output": ""}),
        "item.call_id",
    ),
    "a deletion of nothing": (
        lambda mine: mine.call.conversation.item.delete(item_id="item_x", event_id="evt_mine"),
        "item_id",
    ),
    "a reading of nothing": (
        lambda mine: mine.call.conversation.item.retrieve(item_id="item_x", event_id="evt_mine"),
        "item_id",
    ),
    "a cut of nothing": (
        lambda mine: mine.call.conversation.item.truncate(
            item_id="item_x", content_index=0, audio_end_ms=1, event_id="evt_mine"
        ),
        "item_id",
    ),
    "a cut of the client's own": (
        lambda mine: mine.call.conversation.item.truncate(
            item_id="item_1", content_index=0, audio_end_ms=1, event_id="evt_mine"
        ),
        "item_id",
    ),
    "a cut beyond what there is": (
        lambda mine: mine.call.conversation.item.truncate(
            item_id=mine.seen[-1].response.output[0].id, content_index=0, audio_end_ms=60_000, event_id="evt_mine"
        ),
        "audio_end_ms",
    ),
    "a cut before the beginning": (
        lambda mine: mine.call.conversation.item.truncate(
            item_id=mine.seen[-1].response.output[0].id, content_index=0, audio_end_ms=-1, event_id="evt_mine"
        ),
        "audio_end_ms",
    ),
    "a cut of other content": (
        lambda mine: mine.call.conversation.item.truncate(
            item_id=mine.seen[-1].response.output[0].id, content_index=3, audio_end_ms=1, event_id="evt_mine"
        ),
        "content_index",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_refused_by_name_and_changes_nothing(what: str) -> None:
    say, param = REFUSED[what]

    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.call.conversation.item.create(item=HELLO | {"id": "item_1"})
            await mine.call.response.create()
            await mine.done()
            await say(mine)
            error = await mine.error()
            await mine.asks("Goodbye")

            assert (error.type, error.event_id, error.param) == ("invalid_request_error", "evt_mine", param)
            assert error.code
            assert error.message
            assert [text for _, text in desk.asked.told] == ["Hello", "You said Hello.", "Goodbye"]

    run_over_sockets(main())
