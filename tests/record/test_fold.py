import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.virtual import run_virtual
from trunkline.proto.image import ShownImage
from trunkline.proto.record import (
    RECORD_VERSION,
    AssistantItem,
    CallerSaid,
    Ended,
    Event,
    ItemClosed,
    ItemDeleted,
    ItemInserted,
    ItemTruncated,
    OwnerTook,
    PlayedOut,
    RecordEntry,
    ResponseClosed,
    ResponseOpened,
    SegmentSaid,
    ToolFinished,
    ToolIntended,
    encode_entry,
)
from trunkline.proto.response import Inserted
from trunkline.proto.tool import ToolStatus
from trunkline.record import (
    BrokenRecord,
    CallView,
    MemoryRecordStore,
    Reading,
    events_of,
    fold,
    summary_to_json,
    to_json,
)

from .events import BEGAN_US, weather_call

CALL = "rtc_03_abc"


def entries(events: list[Event], *cuts: int, epoch: int = 1) -> list[RecordEntry]:
    """The events as log messages that end at the cuts."""
    edges = sorted({0, *(cut for cut in cuts if 0 < cut < len(events)), len(events)})
    return [
        RecordEntry(RECORD_VERSION, epoch, start, f"entry_{start}", events[start:end])
        for start, end in itertools.pairwise(edges)
    ]


def folded(*events: Event) -> CallView:
    return fold(CALL, entries(list(events)))


@given(st.lists(st.integers(1, 30), max_size=12))
def test_the_batching_of_events_makes_no_difference(cuts: list[int]) -> None:
    whole = entries(weather_call())
    parts = entries(weather_call(), *cuts)

    assert to_json(fold(CALL, whole), events_of(CALL, whole)) == to_json(fold(CALL, parts), events_of(CALL, parts))


def test_a_call_reads_as_it_was_heard() -> None:
    view = folded(*weather_call())

    told = [(item.role, item.phase, item.heard_text, item.status, item.turn) for item in view.items.values()]
    assert told == [
        ("assistant", "final_answer", "Hello.", "completed", 0),
        ("user", None, "What is the weather in Tokyo?", "completed", 1),
        ("assistant", "commentary", "One moment.", "completed", 1),
        ("assistant", "final_answer", "It is sunny, and", "interrupted", 1),
    ]
    assert view.items["item_4"].text == "It is sunny, and it will stay so."
    assert view.strays == 0


def test_responses_hold_their_items_and_tools_in_order() -> None:
    response = folded(*weather_call()).responses["resp_2"]

    assert (response.items, response.tools) == (["item_3", "item_4"], ["call_1"])
    assert (response.status, response.reason) == ("cancelled", "turn_detected")


def test_entries_of_a_lower_epoch_are_dropped() -> None:
    took = RecordEntry(RECORD_VERSION, 2, 0, "entry_a", [OwnerTook(1, "agent-b", "frontdesk", "d")])
    stale = RecordEntry(RECORD_VERSION, 1, 1, "entry_b", [CallerSaid(2, 1, "item_1", "stale", "speech")])
    goes_on = RecordEntry(RECORD_VERSION, 2, 1, "entry_c", [CallerSaid(3, 1, "item_2", "current", "speech")])

    view = fold(CALL, [took, stale, goes_on])

    assert list(view.items) == ["item_2"]
    assert (view.epoch, view.owner, view.event_count) == (2, "agent-b", 2)


@given(st.integers(0, 30))
def test_a_record_that_is_read_on_tells_what_it_tells_at_once(cut: int) -> None:
    async def main() -> None:
        store, events = MemoryRecordStore(), weather_call()
        reading = Reading(store, CALL)
        stale = RecordEntry(RECORD_VERSION, 0, 1, "entry_stale", [CallerSaid(2, 1, "item_stale", "x", "speech")])
        for entry in [*entries(events, cut), stale]:
            await store.append(CALL, encode_entry(entry), expected_seq=reading.seq, entry=entry.entry)
            await reading.read_on()
        await reading.read_on()

        assert to_json(fold(CALL, entries(events)), []) == to_json(reading.view, [])

    run_virtual(main())


def test_a_gap_in_the_indexes_is_an_error() -> None:
    first, _, third = entries(weather_call(), 5, 10)

    with pytest.raises(BrokenRecord, match="event 10 where 5 was due"):
        fold(CALL, [first, third])


def test_words_that_were_not_played_are_not_heard() -> None:
    view = folded(
        AssistantItem(1, "resp_1", "item_1", "final_answer", "model"),
        SegmentSaid(2, "item_1", 0, "One. "),
        SegmentSaid(3, "item_1", 1, "Two."),
        ItemClosed(4, "item_1"),
        PlayedOut(5, "item_1", 0, 100),
    )

    assert (view.items["item_1"].text, view.items["item_1"].heard_text) == ("One. Two.", "One. ")


def test_a_later_truncation_shortens_but_never_extends() -> None:
    events: list[Event] = [
        AssistantItem(1, "resp_1", "item_1", "final_answer", "model"),
        SegmentSaid(2, "item_1", 0, "One two three."),
        ItemTruncated(3, "item_1", "One two", 200, True),
    ]

    longer = folded(*events, ItemTruncated(4, "item_1", "One two three.", 300, False))
    shorter = folded(*events, ItemTruncated(4, "item_1", "One", 100, True))

    assert longer.items["item_1"].heard_text == "One two"
    assert shorter.items["item_1"].heard_text == "One"


def test_a_deleted_turn_is_no_turn() -> None:
    view = folded(CallerSaid(1, 1, "item_1", "hm", "speech"), ItemDeleted(2, "item_1"))

    assert (view.items, view.turns) == ({}, 0)


def test_a_callers_item_stands_after_the_one_it_names() -> None:
    view = folded(
        CallerSaid(1, 1, "item_1", "first", "text"),
        CallerSaid(2, 2, "item_3", "third", "text"),
        CallerSaid(3, 3, "item_2", "second", "text", previous="item_1"),
        CallerSaid(4, 4, "item_4", "fourth", "text", previous="item_gone"),
    )

    assert list(view.items) == ["item_1", "item_2", "item_3", "item_4"]


def test_the_end_leaves_nothing_in_progress() -> None:
    view = folded(
        ResponseOpened(1, "resp_1", 1),
        AssistantItem(2, "resp_1", "item_1", "commentary", "model"),
        SegmentSaid(3, "item_1", 0, "One moment."),
        ToolIntended(4, "call_1", "resp_1", "cancel_order", "{}", "call_1", 9),
        Ended(5, "caller_hung_up"),
    )

    assert view.items["item_1"].status == "interrupted"
    assert view.tools["call_1"].status == "unknown"


def test_an_open_item_ends_with_its_response() -> None:
    opened: list[Event] = [ResponseOpened(1, "resp_1", 1), AssistantItem(2, "resp_1", "item_1", "commentary", "model")]

    completed = folded(*opened, ResponseClosed(3, "resp_1", "completed"))
    failed = folded(*opened, ResponseClosed(3, "resp_1", "failed"))

    assert completed.items["item_1"].status == "completed"
    assert failed.items["item_1"].status == "interrupted"


def test_a_tool_call_stands_behind_its_commentary_or_else_behind_the_turn() -> None:
    events: list[Event] = [CallerSaid(1, 1, "item_1", "where is it", "speech"), ResponseOpened(2, "resp_1", 1)]
    silent = ToolIntended(3, "call_1", "resp_1", "lookup_order", "{}", "call_1", 9)
    commented = ToolIntended(5, "call_2", "resp_1", "lookup_order", "{}", "call_2", 9)

    view = folded(*events, silent, AssistantItem(4, "resp_1", "item_2", "commentary", "model"), commented)

    assert {tool.id: tool.after for tool in view.tools.values()} == {"call_1": "item_1", "call_2": "item_2"}


def test_a_tool_call_stands_behind_the_item_that_it_names() -> None:
    events: list[Event] = [ResponseOpened(2, "resp_1", 1)]
    events += [AssistantItem(at, "resp_1", f"item_{at}", "commentary", "model") for at in (3, 4)]

    view = folded(*events, ToolIntended(5, "call_1", "resp_1", "lookup_order", "{}", "call_1", 9, "item_3"))

    assert view.tools["call_1"].after == "item_3"


ITEMS, RESPONSES, TOOLS = (st.sampled_from([f"{kind}_{n}" for n in range(3)]) for kind in ("item", "resp", "call"))
ANY_EVENT: st.SearchStrategy[Event] = st.one_of(
    st.builds(CallerSaid, st.just(1), st.just(1), ITEMS, st.text(), st.just("speech"), previous=ITEMS),
    st.builds(ItemDeleted, st.just(1), ITEMS | st.sampled_from(["item_call_0", "item_call_1_output"])),
    st.builds(
        ItemInserted,
        st.just(1),
        st.builds(
            Inserted,
            st.sampled_from(["message", "function_call", "function_call_output"]),
            ITEMS,
            st.sampled_from(["assistant", "system", "user"]),
            st.text(),
            call_id=TOOLS,
        ),
        ITEMS,
    ),
    st.builds(ResponseOpened, st.just(1), RESPONSES, st.just(1)),
    st.builds(AssistantItem, st.just(1), RESPONSES, ITEMS, st.none(), st.just("model")),
    st.builds(SegmentSaid, st.just(1), ITEMS, st.integers(0, 2), st.text()),
    st.builds(ItemClosed, st.just(1), ITEMS),
    st.builds(ItemTruncated, st.just(1), ITEMS, st.text(), st.integers(0, 9), st.booleans()),
    st.builds(PlayedOut, st.just(1), ITEMS, st.integers(0, 2), st.just(1)),
    st.builds(ResponseClosed, st.just(1), RESPONSES, st.sampled_from(["completed", "cancelled", "failed"])),
    st.builds(ToolIntended, st.just(1), TOOLS, RESPONSES, st.just("f"), st.text(), st.just("k"), st.just(9)),
    st.builds(ToolFinished, st.just(1), TOOLS, st.just("ok"), st.text(), st.just("r"), state_patch=st.text()),
)


@given(st.lists(ANY_EVENT, max_size=40))
def test_any_events_in_any_order_fold_to_a_call_that_can_be_shown(events: list[Event]) -> None:
    log = entries([*events, Ended(2, "lost")])
    view = fold(CALL, log)

    msgspec.json.encode(to_json(view, events_of(CALL, log)))
    assert view.event_count == len(events) + 1
    assert view.turns == sum(item.role == "user" for item in view.items.values())
    assert all(item.status != "in_progress" for item in view.items.values())
    assert all(tool.status is not None for tool in view.tools.values())


def test_patches_change_the_tool_state_and_null_deletes() -> None:
    view = folded(
        ToolIntended(1, "call_1", "resp_1", "lookup_order", "{}", "call_1", 9),
        ToolIntended(1, "call_2", "resp_1", "lookup_order", "{}", "call_2", 9),
        ToolFinished(2, "call_1", "ok", "{}", "r", 1.0, '{"order":"4712","asked":1}'),
        ToolFinished(3, "call_2", "ok", "{}", "r", 1.0, '{"order":null,"asked":2}'),
    )

    assert view.state == {"asked": 2}


@pytest.mark.parametrize(
    ("first", "later", "stands"), [("unknown", "ok", "ok"), ("unknown", "error", "error"), ("ok", "error", "ok")]
)
def test_a_later_outcome_replaces_only_one_that_was_unknown(first: ToolStatus, later: ToolStatus, stands: str) -> None:
    view = folded(
        ToolIntended(1, "call_1", "resp_1", "lookup_order", "{}", "call_1", 9),
        ToolFinished(2, "call_1", first, first, "r"),
        ToolFinished(3, "call_1", later, later, "r"),
    )

    assert (view.tools["call_1"].status, view.tools["call_1"].output) == (stands, stands)


def test_what_begins_twice_began_once() -> None:
    turn = CallerSaid(1, 1, "item_1", "hello", "speech")
    view = folded(turn, CallerSaid(2, 1, "item_1", "hello again", "speech"))

    assert [item.text for item in view.items.values()] == ["hello"]
    assert (view.turns, view.strays) == (1, 1)


def test_events_about_the_unknown_are_counted_and_change_nothing() -> None:
    view = folded(
        SegmentSaid(1, "item_x", 0, "?"),
        ItemDeleted(2, "item_x"),
        ResponseClosed(3, "resp_x", "completed"),
        ToolFinished(4, "call_x", "ok", "", "r"),
    )

    assert (view.strays, view.event_count) == (4, 4)
    assert (view.items, view.tools, view.responses) == ({}, {}, {})


def test_the_json_of_a_call_has_what_was_promised() -> None:
    log = entries(weather_call(), 4)
    page = to_json(fold(CALL, log), events_of(CALL, log))

    page = msgspec.json.decode(msgspec.json.encode(page))
    assert page["call_id"] == CALL
    assert [event["i"] for event in page["events"]] == list(range(len(weather_call())))
    assert page["events"][8] == {
        "i": 8,
        "type": "user_item",
        "epoch": 1,
        "at": "2026-09-21T14:13:20.008000Z",
        "turn": 1,
        "item": "item_2",
        "text": "What is the weather in Tokyo?",
        "source": "speech",
        "from_sample": 100,
        "to_sample": 32_100,
        "previous": "item_1",
        "images": [],
    }
    assert page["items"][2]["phase"] == "commentary"
    assert {"id", "role", "phase", "text", "heard_text", "status"} <= page["items"][3].keys()
    tool = page["tools"][0]
    assert (tool["id"], tool["name"], tool["arguments"]) == ("call_1", "get_weather", {"city": "Tokyo"})
    assert (tool["status"], tool["result"]) == ("ok", {"sky": "sunny"})


def test_a_result_in_words_stands_for_itself() -> None:
    log = entries(
        [
            ToolIntended(1, "call_1", "resp_1", "lookup_order", '{"order_number":"4712"}', "call_1", 9),
            ToolFinished(2, "call_1", "error", "No such order.", "r"),
        ]
    )

    page = to_json(fold(CALL, log), events_of(CALL, log))

    assert msgspec.json.decode(msgspec.json.encode(page))["tools"][0]["result"] == "No such order."


def test_a_picture_is_in_its_item_and_in_the_json_of_it_and_gone_with_the_item() -> None:
    shown = ShownImage("file_a", 5, "low", "image/png", 640, 480, 12_000)
    said = CallerSaid(BEGAN_US, 1, "item_1", "this?", "text", images=(shown,))
    log = entries([said], 1)
    view = fold(CALL, log)
    page = msgspec.json.decode(msgspec.json.encode(to_json(view, events_of(CALL, log))))
    later = folded(said, ItemDeleted(BEGAN_US, "item_1"))

    facts = {"file": "file_a", "at": 5, "detail": "low", "media_type": "image/png", "width": 640, "height": 480}
    assert view.items["item_1"].images == (shown,)
    assert page["items"][0]["images"] == [facts | {"bytes": 12_000}]
    assert page["events"][0]["images"] == [facts | {"size": 12_000}]
    assert later.items == {}


def test_a_line_of_the_list_says_when_the_call_ended() -> None:
    view = folded(OwnerTook(BEGAN_US, "agent-a", "frontdesk", "d"), *weather_call())

    assert summary_to_json(view.summary()) == {
        "call_id": CALL,
        "started_at": "2026-09-21T14:13:20.000000Z",
        "ended_at": "2026-09-21T14:13:20.023000Z",
        "turns": 1,
        "agent": "frontdesk",
    }
