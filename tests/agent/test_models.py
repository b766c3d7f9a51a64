"""Choosing a model, the scripted one, and the record as a model is told of it."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from trunkline.agent.models.choose import choose
from trunkline.agent.models.history import STILL_RUNNING, history_of
from trunkline.agent.models.scripted import Call, ScriptedModel, Words, load_script
from trunkline.agent.models.seam import (
    HistoryItem,
    MessageItem,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
    ToolOutputItem,
)
from trunkline.agent.service import load_file
from trunkline.agent.settings import AgentSettings
from trunkline.proto import record
from trunkline.proto.errors import BadSettings
from trunkline.proto.record import Event
from trunkline.proto.response import Phase
from trunkline.record import CallView


def rounds_of(model: ScriptedModel, *items: HistoryItem) -> list[ModelEvent]:
    async def listen() -> list[ModelEvent]:
        return [event async for event in model.respond(ModelRequest("", items, (), "rtc_00_a"))]

    return asyncio.run(listen())


def user(text: str = "x") -> MessageItem:
    return MessageItem("user", None, text)


@pytest.mark.parametrize("name", ["gpt", ""])
def test_an_unknown_model_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(BadSettings) as refused:
        choose(AgentSettings(engine_model=name))

    assert f"TRUNKLINE_ENGINE_MODEL: {name!r} is no model; allowed: local, scripted, responses, chat" == str(
        refused.value
    )


@pytest.mark.parametrize("name", ["local", "scripted"])
def test_built_in_models_are_chosen_by_name(name: str) -> None:
    assert name == choose(AgentSettings(engine_model=name)).name


def test_a_service_without_an_agent_file_says_so() -> None:
    with pytest.raises(BadSettings, match="TRUNKLINE_AGENT_FILE: is not set"):
        load_file(AgentSettings())


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(
        '[[[{"type": "say", "text": "Hm.", "phase": "commentary"},'
        ' {"type": "tool", "name": "f", "arguments": {"a": 1}}],'
        ' [{"type": "wait", "seconds": 0}, {"type": "say", "text": "Yes."}]]]'
    )
    model = ScriptedModel(load_script(str(path)))
    text, call, done = rounds_of(model, user())

    assert (TextDelta("Hm.", "commentary"), RoundDone()) == (text, done)
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("f", '{"a":1}')
    after = rounds_of(model, user(), ToolCallItem("call_1", "f", "{}"), ToolOutputItem("call_1", "1", "ok"))
    assert [TextDelta("Yes."), RoundDone()] == after


@pytest.mark.parametrize("text", ["", "[]", "{}", '[[[{"type": "sing"}]]]', '[[[{"type": "say", "txt": "a"}]]]'])
def test_a_script_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.json"
    path.write_text(text)

    with pytest.raises(BadSettings, match="TRUNKLINE_MODEL_SCRIPT"):
        load_script(str(path))


def test_without_a_script_the_reply_is_always_the_same() -> None:
    first, second = rounds_of(ScriptedModel(), user("a")), rounds_of(ScriptedModel(), user("a"), user("b"))

    assert first == second
    assert isinstance(first[0], TextDelta)
    assert 20 <= len(first[0].text.split()) <= 26


def history(*events: Event) -> tuple[HistoryItem, ...]:
    view = CallView("rtc_00_a")
    for event in events:
        view.apply(event)
    return history_of(view)


SAID = record.CallerSaid(0, 1, "item_u", "Where is it?", "speech")
OPENED = record.ResponseOpened(0, "resp_1", 1)


def an_item(item: str, text: str, phase: Phase) -> list[Event]:
    return [record.AssistantItem(0, "resp_1", item, phase, "model"), record.SegmentSaid(0, item, 0, text)]


def an_intent(key: str) -> record.ToolIntended:
    return record.ToolIntended(0, key, "resp_1", "f", "{}", key, 0)


def test_tools_stand_behind_the_words_that_announced_them() -> None:
    items = history(
        SAID,
        OPENED,
        *an_item("item_1", "First.", "commentary"),
        an_intent("call_1"),
        an_intent("call_2"),
        record.ToolFinished(0, "call_1", "ok", "1", "tr"),
        *an_item("item_2", "Second.", "commentary"),
        an_intent("call_3"),
        *an_item("item_3", "Third.", "final_answer"),
    )

    assert [
        user("Where is it?"),
        MessageItem("assistant", "commentary", "First."),
        ToolCallItem("call_1", "f", "{}"),
        ToolOutputItem("call_1", "1", "ok"),
        ToolCallItem("call_2", "f", "{}"),
        ToolOutputItem("call_2", STILL_RUNNING, None),
        MessageItem("assistant", "commentary", "Second."),
        ToolCallItem("call_3", "f", "{}"),
        ToolOutputItem("call_3", STILL_RUNNING, None),
        MessageItem("assistant", "final_answer", "Third."),
    ] == list(items)


def test_a_tool_of_a_deleted_turn_is_still_known() -> None:
    items = history(SAID, OPENED, an_intent("call_1"), record.ItemDeleted(0, "item_u"))

    assert [type(item).__name__ for item in items] == ["ToolCallItem", "ToolOutputItem"]


def test_a_script_speaks_of_the_callers_last_words() -> None:
    call = Call("f", {"q": msgspec.Raw(b'"<{words}>"')})
    model = ScriptedModel([[[Words("You said {words}: {words}."), call]]])

    text, asked, _ = rounds_of(model, user("before"), user('a "b"'))

    assert TextDelta('You said a "b": a "b".') == text
    assert isinstance(asked, ToolCall)
    assert msgspec.json.decode(asked.arguments) == {"q": '<a "b">'}
