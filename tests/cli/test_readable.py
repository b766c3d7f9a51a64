"""Text for people: a call's record, its timeline, and tables."""

import msgspec

from trunkline.cli.listener import Listener, Moment
from trunkline.cli.listing import table
from trunkline.cli.player import Player
from trunkline.cli.record_json import CallRecord, Event, ImageLine, ItemLine, ToolLine
from trunkline.cli.report import report
from trunkline.cli.show import readable
from trunkline.cli.timeline import timeline
from trunkline.proto import record

RECORD = CallRecord(
    "rtc_00_abc",
    events=[
        {
            "i": 0,
            "type": "owner",
            "epoch": 1,
            "at": "2026-01-01T10:00:00.000000Z",
            "worker": "agent-x",
            "agent": "desk",
        },
        {"i": 1, "type": "user_item", "epoch": 1, "at": "2026-01-01T10:00:02.000000Z", "item": "item_u"},
        {"i": 2, "type": "assistant_item", "epoch": 1, "at": "2026-01-01T10:00:02.100000Z", "item": "item_c"},
        {
            "i": 3,
            "type": "intent",
            "epoch": 1,
            "at": "2026-01-01T10:00:02.500000Z",
            "tool_call": "call_1",
            "response": "resp_1",
            "arguments": '{"city":"Tokyo"}',
        },
        {
            "i": 4,
            "type": "result",
            "epoch": 1,
            "at": "2026-01-01T10:00:03.000000Z",
            "tool_call": "call_1",
            "status": "ok",
            "output": '"18 degrees"',
        },
        {"i": 5, "type": "ended", "epoch": 1, "at": "2026-01-01T10:00:09.000000Z", "reason": "caller_hung_up"},
    ],
    items=[
        ItemLine("item_u", "user", None, "What is the weather in Tokyo?", "What is the weather in Tokyo?", "completed"),
        ItemLine("item_c", "assistant", "commentary", "One moment please.", "One moment", "interrupted"),
    ],
    tools=[ToolLine("call_1", "get_weather", {"city": "Tokyo"}, "ok", "18 degrees", "resp_1")],
)


def recorded(i: int, event: record.Event) -> Event:
    """As GET /v1/calls/<id> gives it."""
    made: Event = msgspec.json.decode(msgspec.json.encode(msgspec.structs.asdict(event)))
    return {"i": i, "type": event.__struct_config__.tag, "epoch": 1, "at": "2026-01-01T10:00:00.000000Z"} | made


def test_a_picture_is_told_of_below_the_words_that_it_was_shown_with() -> None:
    said = recorded(0, record.CallerSaid(1, 1, "item_u", "", "text"))
    shown = ImageLine("file_a", "low", "image/png", 640, 480, 12_000)
    made = CallRecord("rtc_00_abc", [said], [ItemLine("item_u", "user", None, "", "", "completed", (shown,))], [])

    assert list(readable(made))[1:] == [
        "10:00:00.000  caller",
        "                (shown: image/png, 640 x 480, 12000 bytes, detail low, file_a)",
    ]


def test_verdicts_approvals_and_handoffs_stand_in_a_record() -> None:
    events: list[record.Event] = [
        record.VerdictGiven(1, "input", "item_u", "allow"),
        record.VerdictGiven(1, "segment", "item_a", "block", "swearing", "a bad word"),
        record.VerdictGiven(1, "answer", "item_a", "hand_off", "legal", "a claim", "lawyers"),
        record.ApprovalAsked(1, "appr_a", "tool", "call_a", "resp_a", "refund", '{"order":7}', 9, "deny"),
        record.ApprovalDecided(1, "appr_a", "denied"),
        record.ApprovalAsked(1, "appr_b", "answer", "resp_a", "resp_a", "", "You get nothing.", 9, "deny"),
        record.ApprovalDecided(1, "appr_b", "approved", "anna", "You get half.", "as agreed"),
        record.HandedOff(1, "resp_a", "refunds", "call_b", "wants money back"),
        record.TransferAsked(1, "call_c", "sip:desk@example.com"),
    ]
    made = CallRecord("rtc_00_abc", [recorded(i, event) for i, event in enumerate(events)], [], [])

    assert [line.removeprefix("10:00:00.000  ") for line in readable(made)] == [
        "call rtc_00_abc",
        "policy  block         segment, by swearing: a bad word",
        "policy  hand_off      answer, by legal: a claim -> lawyers",
        'asked   tool          refund {"order":7} (appr_a)',
        "decided denied        by nobody",
        "asked   answer        You get nothing. (appr_b)",
        "decided approved      by anna (as agreed); said instead: You get half.",
        "handoff refunds       wants money back",
        "wanted  transfer      sip:desk@example.com",
    ]


def test_what_a_client_added_stands_in_a_record() -> None:
    added = (
        {"kind": "message", "item": "item_1", "call_id": ""},
        {"kind": "message", "item": "item_2", "call_id": ""},
        {"kind": "function_call", "item": "item_3", "call_id": "call_1"},
        {"kind": "function_call_output", "item": "item_4", "call_id": "call_1"},
        {"kind": "message", "item": "item_deleted", "call_id": ""},
    )
    at = "2026-01-01T10:00:00.000000Z"
    events: list[Event] = [{"type": "inserted", "epoch": 1, "at": at, "item": item} for item in added]
    items = [
        ItemLine("item_1", "system", None, "Be brief.", "Be brief.", "completed"),
        ItemLine("item_2", "assistant", "commentary", "One moment.", "One moment.", "completed"),
    ]
    tools = [ToolLine("call_1", "look", {}, "ok", "seen")]

    assert [
        line.removeprefix("10:00:00.000  ") for line in readable(CallRecord("rtc_00_abc", events, items, tools))
    ] == [
        "call rtc_00_abc",
        "system                Be brief.",
        "agent   commentary    One moment.",
        "tool    ok            look {} -> seen",
    ]


def test_a_record_reads_as_one_conversation_with_phases_and_tools() -> None:
    expected = [
        "call rtc_00_abc",
        "10:00:00.000  owner   epoch 1: agent-x, agent desk",
        "10:00:02.000  caller                What is the weather in Tokyo?",
        "10:00:02.100  agent   commentary    One moment please.",
        "                (interrupted; heard: One moment)",
        "10:00:02.500  tool    ok            get_weather {'city': 'Tokyo'} -> 18 degrees",
        "10:00:09.000  ended   caller_hung_up",
    ]

    assert readable(RECORD) == expected


def test_a_record_tells_who_owned_the_call_when_and_what_moved() -> None:
    at = "2026-01-01T10:00:00.000000Z"
    moves: list[Event] = [
        {"type": "owner", "epoch": 1, "at": at, "worker": "agent-x", "agent": "desk", "reason": ""},
        {"type": "attached", "epoch": 1, "at": at, "hub": 1, "gateway": "gateway-x"},
        {"type": "moved", "epoch": 1, "at": at, "stage": "stt", "worker": "stt-y", "reason": "no heartbeat"},
        {"type": "owner", "epoch": 2, "at": at, "worker": "agent-y", "agent": "desk", "reason": "agent-x: departed"},
        {"type": "audio_lost", "epoch": 2, "at": at, "from_sample": 40_000},
    ]

    expected = [
        "call rtc_00_abc",
        "10:00:00.000  owner   epoch 1: agent-x, agent desk",
        "10:00:00.000  gateway hub 1: gateway-x",
        "10:00:00.000  stt     stt-y from here on (no heartbeat)",
        "10:00:00.000  owner   epoch 2: agent-y, agent desk (agent-x: departed)",
        "10:00:00.000  lost    the caller's audio from 2.50 s on",
    ]

    assert readable(CallRecord("rtc_00_abc", moves, [], [])) == expected


def test_the_tool_stands_in_the_timeline_where_the_caller_would_have_noticed() -> None:
    began_s = 1767261600.0  # 2026-01-01T10:00:00Z
    moments = [Moment(24_000 * 4, "answer_audio"), Moment(24_000, "speech_end")]

    rows = timeline(moments, RECORD, began_s)

    expected = ["1.00 s  caller stops", "2.50 s  tool starts", "3.00 s  tool ends", "4.00 s  answer is heard"]
    assert [expect for row, expect in zip(rows, expected, strict=True) if expect not in row] == []


def test_tools_are_joined_to_the_turn_of_their_response() -> None:
    listener = Listener(Player())
    listener.begin_turn().responses.append("resp_0")
    listener.begin_turn().responses.append("resp_1")

    first, second = report(listener, RECORD).turns

    assert first.tools == []
    assert [(tool.name, tool.arguments) for tool in second.tools] == [("get_weather", {"city": "Tokyo"})]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(["A", "LONG"], [["wide cell", "x"]]) == ["A          LONG", "wide cell  x"]
