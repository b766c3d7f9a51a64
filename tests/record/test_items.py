"""What a client adds and deletes: where it stands among messages and tool calls, and what of it a model may read."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trunkline.proto.record import (
    AssistantItem,
    CallerSaid,
    Ended,
    Event,
    ItemClosed,
    ItemDeleted,
    ItemInserted,
    PlayedOut,
    ResponseClosed,
    ResponseOpened,
    SegmentSaid,
    ToolFinished,
    ToolIntended,
)
from trunkline.proto.response import ROOT, Asked, Inserted
from trunkline.record import CallView, events_of, fold, to_json

from .test_fold import CALL, entries, folded


def said(item: str, previous: str = "", text: str = "Hello.") -> CallerSaid:
    return CallerSaid(1, 1, item, text, "text", previous=previous)


def message(item: str, previous: str = "", role: str = "system", text: str = "Be brief.") -> ItemInserted:
    return ItemInserted(1, Inserted("message", item, role, text), previous)  # type: ignore[arg-type]  # a role's name


def call(name: str, previous: str = "") -> ItemInserted:
    return ItemInserted(1, Inserted("function_call", f"item_{name}", text="{}", call_id=name, name="look"), previous)


def output(name: str, text: str = '"seen"') -> ItemInserted:
    return ItemInserted(1, Inserted("function_call_output", f"out_{name}", text=text, call_id=name))


def answered(*, calls: str, runs: str = "client") -> list[Event]:
    """A turn, and a response with commentary and one tool call that the client carries out."""
    return [
        said("item_1"),
        ResponseOpened(1, "resp_1", 1),
        AssistantItem(1, "resp_1", "item_2", "commentary", "model"),
        SegmentSaid(1, "item_2", 0, "One moment."),
        ItemClosed(1, "item_2"),
        ToolIntended(1, calls, "resp_1", "open_page", "{}", calls, 9, runs=runs),  # type: ignore[arg-type]
        ResponseClosed(1, "resp_1", "completed"),
    ]


def order(view: CallView) -> list[str]:
    """Ids of messages and tool calls that stand, as a client sees them."""
    seen = [tool.call_item for tool in view.tools_behind("") if not tool.call_deleted]
    for item in view.items:
        seen += [item, *(tool.call_item for tool in view.tools_behind(item) if not tool.call_deleted)]
    return seen


def test_what_a_client_adds_stands_after_the_item_that_it_names() -> None:
    view = folded(
        said("item_1"),
        said("item_4"),
        message("item_3", "item_1"),
        message("item_0", ROOT),
        message("item_5", "item_unknown"),
        message("item_6"),
        said("item_2", previous="item_1"),
    )

    assert order(view) == [f"item_{n}" for n in (0, 1, 2, 3, 4, 5, 6)]
    assert view.strays == 0


def test_a_turn_at_the_root_is_the_first_item() -> None:
    view = folded(said("item_2"), call("a", ROOT), said("item_1", previous=ROOT))

    assert order(view) == ["item_1", "item_a", "item_2"]


def test_a_message_of_the_client_is_whole_and_no_turn() -> None:
    item = folded(ItemInserted(1, Inserted("message", "item_1", "assistant", "Yes.", "commentary")))

    made = item.items["item_1"]
    assert (made.role, made.source, made.phase, made.status) == ("assistant", "client", "commentary", "completed")
    assert made.text == made.heard_text == "Yes."
    assert item.turns == 0


def test_a_call_of_the_client_takes_its_output_and_is_no_news() -> None:
    view = folded(said("item_1"), call("a"), output("a"))

    tool = view.tools["a"]
    assert (tool.runs, tool.response, tool.status, tool.output) == ("client", "", "ok", '"seen"')
    assert (tool.call_item, tool.output_item) == ("item_a", "out_a")
    assert view.news == {}


def test_an_output_that_is_told_later_keeps_its_item() -> None:
    view = folded(call("a"), ToolFinished(1, "a", "ok", "1", "client", item="item_of_client"))

    assert view.tools["a"].output_item == "item_of_client"
    assert view.tool_of("item_of_client") is view.tools["a"]
    assert view.news == {}


def test_an_output_without_its_call_and_what_is_there_already_change_nothing() -> None:
    events: list[Event] = [said("item_1"), message("item_2"), call("a"), output("a")]

    view = folded(*events, output("b"), *events[1:], output("a", '"other"'))

    assert order(view) == ["item_1", "item_2", "item_a"]
    assert view.tools["a"].output == '"seen"'
    assert view.strays == 5


def test_a_deleted_call_or_output_is_known_and_told_to_nobody() -> None:
    events: list[Event] = [call("a"), output("a"), call("b"), output("b")]
    view = folded(*events, ItemDeleted(1, "item_a"), ItemDeleted(1, "out_b"))

    assert [(tool.call_deleted, tool.output_deleted, tool.stands) for tool in view.tools.values()] == [
        (True, False, False),
        (False, True, False),
    ]
    assert [item for item in ("item_a", "out_a", "item_b", "out_b") if view.has(item)] == ["out_a", "item_b"]
    assert view.strays == 0


def test_items_of_a_tool_call_of_the_agent_are_known_by_its_id() -> None:
    view = folded(*answered(calls="call_1"), ToolFinished(1, "call_1", "ok", "1", "client"))

    assert view.has("item_call_1")
    assert view.has("item_call_1_output")
    assert view.news == {"call_1": None}
    view.apply(ItemDeleted(1, "item_call_1_output"))
    assert not view.tools["call_1"].stands
    assert view.news == {}


def test_a_deleted_call_is_open_at_nobody() -> None:
    events = answered(calls="call_1")
    before = folded(*events)
    after = folded(*events, ItemDeleted(1, "item_call_1"))

    assert [len(view.open_at_client(view.responses["resp_1"])) for view in (before, after)] == [1, 0]


def test_what_was_deleted_can_be_added_again() -> None:
    view = folded(
        said("item_1"),
        call("a"),
        output("a"),
        said("item_2"),
        *(ItemDeleted(1, item) for item in ("item_1", "item_a", "out_a")),
        call("a", "item_2"),
        output("a", '"anew"'),
        said("item_1", text="Good day."),
    )

    assert order(view) == ["item_2", "item_a", "item_1"]
    assert (view.tools["a"].stands, view.tools["a"].output) == (True, '"anew"')
    assert view.items["item_1"].text == "Good day."


def test_an_answer_that_the_client_puts_in_other_words_is_no_longer_of_its_response() -> None:
    view = folded(
        *answered(calls="call_1"),
        ItemDeleted(1, "item_2"),
        ItemInserted(1, Inserted("message", "item_2", "assistant", "A moment."), "item_1"),
        SegmentSaid(1, "item_2", 1, " More."),
        PlayedOut(1, "item_2", 0, 9),
    )

    assert view.responses["resp_1"].items == []
    assert (view.items["item_2"].text, view.items["item_2"].played) == ("A moment.", {})


def test_a_tool_of_the_server_stays_with_its_message_and_the_client_s_follows_what_is_put_before_it() -> None:
    of_server = folded(*answered(calls="call_1", runs="runner"), message("item_x", "item_2"))
    of_client = folded(*answered(calls="call_1"), message("item_x", "item_2"))

    assert order(of_server) == ["item_1", "item_2", "item_call_1", "item_x"]
    assert order(of_client) == ["item_1", "item_2", "item_x", "item_call_1"]


def test_calls_of_a_deleted_message_stand_where_it_stood() -> None:
    view = folded(*answered(calls="call_1"), said("item_3"), ItemDeleted(1, "item_2"))

    assert order(view) == ["item_1", "item_call_1", "item_3"]
    view.apply(ToolIntended(1, "call_2", "resp_1", "look", "{}", "call_2", 9))  # behind the same message
    assert order(view) == ["item_1", "item_call_1", "item_call_2", "item_3"]


def test_an_answer_out_of_band_leaves_the_news_to_the_next() -> None:
    events = [*answered(calls="call_1", runs="runner"), ToolFinished(1, "call_1", "ok", "1", "tr")]
    aside = folded(*events, ResponseOpened(1, "resp_2", 0, asked=Asked(aside=True)))
    spoken = folded(*events, ResponseOpened(1, "resp_2", 0))

    assert (list(aside.news), list(spoken.news)) == (["call_1"], [])
    assert aside.is_aside("resp_2")


IDS = [f"{kind}{n}" for kind in ("m", "c") for n in range(3)]
EDIT = st.tuples(st.sampled_from(["add", "add", "delete"]), st.sampled_from(IDS), st.sampled_from(["", ROOT, *IDS]))


def as_told(edits: Sequence[tuple[str, str, str]]) -> list[str]:
    """What the vendor's words say, on one flat list."""
    items: list[str] = []
    for what, item, previous in edits:
        if what == "delete" and item in items:
            items.remove(item)
        elif what == "add" and item not in items:
            place = 0 if previous == ROOT else items.index(previous) + 1 if previous in items else len(items)
            items.insert(place, item)
    return items


@given(st.lists(EDIT, max_size=25))
def test_however_a_client_edits_its_items_they_stand_as_it_said(edits: list[tuple[str, str, str]]) -> None:
    view = CallView(CALL)
    for what, item, previous in edits:
        if what == "delete":
            view.apply(ItemDeleted(1, item))
        elif item.startswith("m"):
            view.apply(message(item, previous))
        else:
            added = Inserted("function_call", item, text="{}", call_id=f"call_{item}", name="look")
            view.apply(ItemInserted(1, added, previous))

    assert order(view) == as_told(edits)


@given(st.lists(EDIT, max_size=12), st.integers(0, 12))
def test_edits_told_again_leave_the_same_items(edits: list[tuple[str, str, str]], known: int) -> None:
    """An agent that takes over hears the last of them again; those that change nothing aren't recorded."""
    view = CallView(CALL)
    for what, item, previous in [*edits, *edits[known:]]:
        if what == "delete" and view.has(item):
            view.apply(ItemDeleted(1, item))
        elif what == "add" and not view.has(item):
            view.apply(message(item, previous))

    assert sorted(view.items) == sorted(as_told(edits))
    assert view.strays == 0


def test_the_json_of_a_call_names_what_was_added_and_asked() -> None:
    log = entries(
        [
            message("item_1"),
            call("a"),
            ResponseOpened(1, "resp_1", 0, asked=Asked(aside=True, context=(Inserted("reference", "item_1"),))),
            Ended(1, "caller_hung_up"),
        ]
    )

    page = msgspec.json.decode(msgspec.json.encode(to_json(fold(CALL, log), events_of(CALL, log))))
    assert (page["items"][0]["role"], page["items"][0]["source"], page["items"][0]["agent"]) == (
        "system",
        "client",
        None,
    )
    assert (page["tools"][0]["id"], page["tools"][0]["runs"], page["tools"][0]["status"]) == ("a", "client", "unknown")
    assert page["events"][0]["item"]["text"] == "Be brief."
    assert page["events"][2]["asked"]["context"][0]["item"] == "item_1"
