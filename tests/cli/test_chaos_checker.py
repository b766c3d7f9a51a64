"""Each invariant complains of evidence that was doctored to break it, and of nothing else; honest evidence passes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from trunkline.cli.chaos import evidence
from trunkline.cli.chaos.checker import INVARIANTS, check
from trunkline.cli.chaos.evidence import (
    Account,
    CallEvidence,
    Claimed,
    Decided,
    Effect,
    Evidence,
    Fault,
    Moved,
    Piece,
    Recorded,
    Resting,
    Said,
)
from trunkline.cli.main import run
from trunkline.cli.stack import ALONE
from trunkline.proto import record
from trunkline.proto.errors import BadInput
from trunkline.proto.record import Claim, Event, RecordEntry

CALL = "rtc_03_honest"
T_US = 1_000_000


def entry(number: int, index: int, events: Sequence[Event], epoch: int = 1) -> Recorded:
    return Recorded(10 + number, RecordEntry(1, epoch, index, f"entry_{number}", list(events)), 1.0)


BEGIN: list[Event] = [
    record.OwnerTook(T_US, "a1", "frontdesk", "d", 101),
    record.Configured(T_US, "frontdesk"),
    record.HubAttached(T_US, 1, "g1"),
]
TURN: list[Event] = [
    record.CallerSaid(T_US, 1, "item_u1", "4711", "speech", 0, 100),
    record.ResponseOpened(T_US, "resp_1", 1),
    record.AssistantItem(T_US, "resp_1", "item_a1", "commentary", "model"),
    record.SegmentSaid(T_US, "item_a1", 0, "One moment."),
    record.ItemClosed(T_US, "item_a1"),
    record.ToolIntended(T_US, "call_1", "resp_1", "book", '{"number":4711}', "call_1", 9 * T_US),
]
MOVED: list[Event] = [record.OwnerTook(T_US, "a2", "frontdesk", "d", 102, "it died"), record.HubAttached(T_US, 1, "g1")]
REST: list[Event] = [
    record.ToolFinished(T_US, "call_1", "ok", '"done"', "r1"),
    record.AssistantItem(T_US, "resp_1", "item_a2", "final_answer", "model"),
    record.SegmentSaid(T_US, "item_a2", 0, "You said "),
    record.SegmentSaid(T_US, "item_a2", 1, "4711."),
    record.ItemClosed(T_US, "item_a2"),
    record.ResponseClosed(T_US, "resp_1", "completed"),
    record.PlayedOut(T_US, "item_a1", 0, 480),
    record.PlayedOut(T_US, "item_a2", 0, 960),
    record.PlayedOut(T_US, "item_a2", 1, 480),
]
END: list[Event] = [record.Ended(T_US, "caller_hung_up")]
ENTRIES = [entry(0, 0, BEGIN), entry(1, 3, TURN), entry(2, 9, MOVED, 2), entry(3, 11, REST, 2), entry(4, 20, END, 2)]
HEARD = [
    Piece("item_a1", 0, 0, 480, 2.0),
    Piece("item_a2", 0, 0, 480, 2.1),
    Piece("item_a2", 0, 480, 480, 2.2),
    Piece("item_a2", 1, 0, 480, 2.3),
]
ACCOUNT = Account(
    said=[Said("4711", 1.5, 3.0, "One moment. You said 4711.", "tool")],
    transcripts=["4711"],
    heard=HEARD,
    end="hung_up",
    ended_s=4.0,
)
EFFECTS = [Effect("call_1", '{"number":4711}', 1.6)]
CLAIMS = [Claimed("call_1", 1, Claim(T_US, "r1", 1))]


def evidence_of(
    entries: list[Recorded] = ENTRIES,
    account: Account = ACCOUNT,
    effects: list[Effect] = EFFECTS,
    claims: list[Claimed] | None = CLAIMS,
    resting: Sequence[Resting] = (),
    decided: Sequence[Decided] = (),
    forbidden: Sequence[str] = (),
    faults: Sequence[Fault] = (),
    to_replace: Sequence[str] = (),
) -> Evidence:
    run = evidence.Run(
        faults=list(faults),
        effects=effects,
        resting=list(resting),
        decided=list(decided),
        forbidden=list(forbidden),
        to_replace=list(to_replace),
    )
    return Evidence([CallEvidence(CALL, entries, account, claims)], run)


def changed(number: int, **fields: object) -> list[Recorded]:
    """The entries, one of them with other fields."""
    entries = list(ENTRIES)
    doctored = msgspec.structs.replace(entries[number].entry, **fields)
    entries[number] = msgspec.structs.replace(entries[number], entry=doctored)
    return entries


def swapped(number: int, old: Event, *new: Event, of: Sequence[Recorded] = ENTRIES) -> list[Recorded]:
    """The entries with other events in place of one; indexes stay dense."""
    entries, due = [], 0
    for at, one in enumerate(of):
        events = [each for event in one.entry.events for each in (new if at == number and event is old else (event,))]
        entries.append(msgspec.structs.replace(one, entry=msgspec.structs.replace(one.entry, events=events, index=due)))
        due += len(events)
    return entries


def told(**fields: object) -> Account:
    return msgspec.structs.replace(ACCOUNT, **fields)


def zombie() -> Evidence:
    """An old owner's entry that got in behind the new owner's."""
    return evidence_of([*ENTRIES[:4], msgspec.structs.replace(entry(5, 20, []), seq=14), *ENTRIES[4:]])


LATE_HUB = record.HubAttached(T_US, 0, "g0")
SLOW = msgspec.structs.replace(ACCOUNT.said[0], answered_s=40.0)
DENIED = record.ToolFinished(T_US, "call_1", "error", "book was not run: no tool runner takes it.", "")
TWICE_SAID = [*HEARD[:2], Piece("item_a2", 0, 0, 480, 2.15), *HEARD[2:]]

NAME, ANSWERS = "appr_03_honest_x", "appr_03_honest_y"
ASKED = record.ApprovalAsked(T_US, NAME, "tool", "call_1", "resp_1", "book", '{"number":4711}', 9 * T_US, "deny")
APPROVED = record.ApprovalDecided(T_US, NAME, "approved", "anna")
REFUSED = record.ApprovalDecided(T_US, NAME, "denied", "anna")
CANCELLED = record.ToolFinished(T_US, "call_1", "cancelled", "This was not run: the call ended.", "")
ANSWER = record.ApprovalAsked(T_US, ANSWERS, "answer", "resp_1", "resp_1", "", "You said 4711.", 9 * T_US, "deny")
ANSWER_APPROVED = record.ApprovalDecided(T_US, ANSWERS, "approved", "anna")
TOLD = Decided(NAME, "anna", "approve", "approved", "anna", 5.0)
BLOCKED = record.VerdictGiven(T_US, "input", "item_u1", "block", "words")
HANDED_OFF = record.HandedOff(T_US, "resp_1", "other")
ENDS = record.ToolIntended(T_US, "call_2", "resp_1", "end_call", "{}", "call_2", 9 * T_US, runs="agent")
ENDED = record.ToolFinished(T_US, "call_2", "ok", '"The call was ended."', "")
HUNG_UP = record.Ended(T_US, "agent_hung_up")
CUT = record.ItemTruncated(T_US, "item_a2", "You said", 480, True)


def asked(*decided: Event, outcome: Event | None = None, text: str = "") -> list[Recorded]:
    """The tool waited for a person."""
    question = msgspec.structs.replace(ASKED, text=text or ASKED.text)
    entries = swapped(1, TURN[5], TURN[5], question)
    return swapped(3, REST[0], *decided, outcome or REST[0], of=entries)


def answered(*, before: Sequence[Event] = (ANSWER, ANSWER_APPROVED), after: Sequence[Event] = ()) -> list[Recorded]:
    """The answer waited for a person. before, after: its first segment."""
    return swapped(3, REST[2], REST[2], *after, of=swapped(3, REST[1], *before, REST[1]))


def hung_up(*ends: Event, heard: Sequence[Event] = REST[8:9]) -> Evidence:
    """The agent ended the call. ends: what its tool came to. heard: of the last segment."""
    entries = swapped(3, REST[5], ENDS, REST[5]) if ends else ENTRIES
    entries = swapped(3, REST[8], *heard, of=entries)
    return evidence_of(swapped(4, END[0], *ends, HUNG_UP, of=entries), told(end="closed"))


NODE = Fault("kill", "nats", "nats-1", 1, 1.0, led=[CALL], led_s=6.0, ended_s=1.0, ready_s=7.0)
HUNG = msgspec.structs.replace(NODE, kind="stop", until_s=9.0, ended_s=9.0, ready_s=9.5)
LAME_DUCK = msgspec.structs.replace(NODE, kind="term", ended_s=15.0, ready_s=20.0)
REPLACED = Fault("term", "stt", "stt-a", 2, 1.0, ended_s=1.5, ready_s=3.0)


def left(fault: Fault, after_s: float) -> Fault:
    """Whoever used the node is at another so long after it was hit."""
    return msgspec.structs.replace(fault, moved=[Moved("stt-b", fault.at_s + after_s)])


def later(entries: list[Recorded], number: int, stored_s: float = 2.0) -> list[Recorded]:
    """One of them was stored later."""
    return [msgspec.structs.replace(one, stored_s=stored_s) if at == number else one for at, one in enumerate(entries)]


DOCTORED: dict[str, Sequence[Callable[[], Evidence]]] = {
    "epoch_never_decreases": [zombie],
    "owner_is_next_epoch": [
        lambda: evidence_of([*changed(2, epoch=3)[:3], changed(3, epoch=3)[3], changed(4, epoch=3)[4]]),
        lambda: evidence_of(swapped(2, MOVED[0], record.OwnerTook(T_US, "a2", "frontdesk", "d", 101))),
        lambda: evidence_of(swapped(2, MOVED[0])),
    ],
    "hub_never_decreases": [lambda: evidence_of(swapped(2, MOVED[1], LATE_HUB))],
    "index_is_dense": [lambda: evidence_of(changed(4, index=21)), lambda: evidence_of(changed(4, index=19))],
    "ids_are_unique": [
        lambda: evidence_of(changed(4, entry="entry_3")),
        lambda: Evidence([*evidence_of().calls, twin()], evidence_of().run),
    ],
    "ended_once": [
        lambda: evidence_of(ENTRIES[:4]),
        lambda: evidence_of(swapped(4, END[0], END[0], END[0])),
        lambda: evidence_of(swapped(4, END[0], END[0], record.StageMoved(T_US, "tts", "t2", "it died"))),
        lambda: evidence_of(account=told(end="unaware")),
    ],
    "no_strays": [lambda: evidence_of(swapped(3, REST[4], REST[4], record.ItemClosed(T_US, "item_nowhere")))],
    "responses_close": [
        lambda: evidence_of(swapped(3, REST[5])),
        lambda: evidence_of(swapped(3, REST[5], REST[5], *second_response())),
    ],
    "segments_are_dense": [lambda: renumbered()],
    "played_was_said": [lambda: evidence_of(account=told(heard=[*HEARD, Piece("item_a9", 0, 0, 480, 2.4)]))],
    "said_is_heard_or_truncated": [lambda: evidence_of(swapped(3, REST[8]))],
    "stays_connected": [
        lambda: evidence_of(swapped(4, END[0], record.Ended(T_US, "failed: Overrun"))),
        lambda: evidence_of(account=told(problem="the gateway closed the socket (code 1011)")),
    ],
    "turns_are_what_was_said": [
        lambda: evidence_of(account=told(said=[*ACCOUNT.said, Said("4712", 3.5, 3.6)])),
        lambda: evidence_of(account=told(transcripts=["4711", "4711"])),
        lambda: evidence_of(account=told(said=[], transcripts=[])),
    ],
    "segments_are_heard_once": [
        lambda: evidence_of(account=told(heard=TWICE_SAID)),
        lambda: evidence_of(account=told(heard=[*HEARD[:1], *HEARD[2:]])),
        lambda: evidence_of(account=told(heard=HEARD[:3])),
        lambda: evidence_of(account=told(heard=[HEARD[0], HEARD[3], *HEARD[1:3]])),
    ],
    "turns_are_answered": [
        lambda: evidence_of(account=told(said=[SLOW])),
        lambda: evidence_of(account=told(said=[msgspec.structs.replace(SLOW, answered_s=0.0)])),
    ],
    "replies_are_whole": [
        lambda: evidence_of(swapped(3, REST[3], record.SegmentSaid(T_US, "item_a2", 1, "You said 4711."))),
        lambda: evidence_of(swapped(3, REST[5], record.ResponseClosed(T_US, "resp_1", "failed", "the model failed"))),
    ],
    "intents_have_outcomes": [
        lambda: evidence_of(swapped(3, REST[0]), effects=[]),
        lambda: evidence_of(swapped(3, REST[0], REST[0], REST[0])),
    ],
    "at_most_one_effect": [lambda: evidence_of(effects=EFFECTS * 2)],
    "ok_means_one_effect": [lambda: evidence_of(effects=[])],
    "effects_have_intents": [
        lambda: evidence_of(effects=[msgspec.structs.replace(EFFECTS[0], at_s=0.9)]),
        lambda: evidence_of(effects=[msgspec.structs.replace(EFFECTS[0], arguments="{}")]),
        lambda: evidence_of(effects=[*EFFECTS, Effect("call_9", "{}", 1.6)]),
    ],
    "not_run_means_no_effect": [lambda: evidence_of(swapped(3, REST[0], DENIED))],
    "effects_have_claims": [
        lambda: evidence_of(claims=[]),
        lambda: evidence_of(claims=[Claimed("call_1", 1, Claim(T_US, "r1", 1, void=True))]),
    ],
    "approvals_are_decided_once": [
        lambda: evidence_of(asked(outcome=CANCELLED), effects=[]),
        lambda: evidence_of(asked(APPROVED, APPROVED)),
        lambda: evidence_of(swapped(3, REST[0], APPROVED, REST[0])),
    ],
    "decisions_stand": [
        lambda: evidence_of(decided=[TOLD]),
        lambda: evidence_of(asked(APPROVED), decided=[Decided(NAME, "ben", "deny", "denied", "ben", 5.0)]),
        lambda: evidence_of(asked(APPROVED), decided=[msgspec.structs.replace(TOLD, at_s=0.9)]),
    ],
    "approved_before_effect": [
        lambda: evidence_of(asked(REFUSED)),
        lambda: evidence_of(later(asked(APPROVED), 3)),
        lambda: evidence_of(asked(APPROVED, text='{"number":4712}')),
    ],
    "asked_with_the_intent": [lambda: evidence_of(swapped(3, REST[0], ASKED, APPROVED, REST[0]))],
    "answers_wait_for_a_person": [
        lambda: evidence_of(answered(before=(ANSWER, record.ApprovalDecided(T_US, ANSWERS, "denied", "anna")))),
        lambda: evidence_of(answered(before=(ANSWER,), after=(ANSWER_APPROVED,))),
        lambda: evidence_of(
            answered(before=(ANSWER, msgspec.structs.replace(ANSWER_APPROVED, text="You said nothing.")))
        ),
    ],
    "forbidden_is_nowhere": [
        lambda: evidence_of(forbidden=["4711."]),
        lambda: evidence_of(account=told(leaks=['{"type":"response.done"}'])),
    ],
    "blocked_words_are_not_answered": [lambda: evidence_of(swapped(1, TURN[0], TURN[0], BLOCKED))],
    "items_follow_handoffs": [
        lambda: evidence_of(swapped(3, REST[1], HANDED_OFF, REST[1])),
        lambda: evidence_of(swapped(3, REST[1], msgspec.structs.replace(REST[1], agent="other"))),
    ],
    "goodbyes_are_heard": [
        lambda: hung_up(),
        lambda: hung_up(ENDED, heard=[CUT]),
        lambda: evidence_of(swapped(4, END[0], ENDED, END[0], of=swapped(3, REST[5], ENDS, REST[5]))),
    ],
    "phases_are_known": [lambda: evidence_of(swapped(3, REST[1], msgspec.structs.replace(REST[1], phase=None)))],
    "appends_return": [lambda: evidence_of(later(ENTRIES, 3, 11.5), faults=[NODE])],
    "nodes_are_left": [
        lambda: evidence_of(faults=[left(NODE, 3.5)]),
        lambda: evidence_of(faults=[left(HUNG, 3.5)]),
        lambda: evidence_of(faults=[left(LAME_DUCK, 5.5)]),
        lambda: evidence_of(faults=[msgspec.structs.replace(HUNG, moved=[Moved("stt-b", 0.0)])]),
    ],
    "everything_is_replaced": [
        lambda: evidence_of(to_replace=["stt-a"]),
        lambda: evidence_of(faults=[msgspec.structs.replace(REPLACED, ended_s=0.0, ready_s=0.0)], to_replace=["stt-a"]),
        lambda: evidence_of(faults=[msgspec.structs.replace(REPLACED, ready_s=0.0)], to_replace=["stt-a"]),
    ],
    "resting_at_baseline": [
        lambda: evidence_of(resting=[Resting("stt-1", "tasks", 9, 10)]),
        lambda: evidence_of(resting=[Resting("stt-1", "rss_kb", 90_000, 150_000)]),
    ],
}


def second_response() -> list[Event]:
    return [record.ResponseOpened(T_US, "resp_2", 1), record.ResponseClosed(T_US, "resp_2", "completed")]


def renumbered() -> Evidence:
    """The second segment of an item is numbered 2, wherever it is told of."""
    events: list[Event] = [*REST[:3], record.SegmentSaid(T_US, "item_a2", 2, "4711."), *REST[4:8]]
    events.append(record.PlayedOut(T_US, "item_a2", 2, 480))
    return evidence_of(changed(3, events=events), told(heard=[*HEARD[:3], Piece("item_a2", 2, 0, 480, 2.3)]))


def twin() -> CallEvidence:
    """Another call with nothing of its own but one event that begins what the first call has begun."""
    entries = [
        Recorded(1, RecordEntry(1, 1, 0, "entry_t0", [BEGIN[0]])),
        Recorded(2, RecordEntry(1, 1, 1, "entry_t1", [record.ResponseOpened(T_US, "resp_1", 0)])),
        Recorded(3, RecordEntry(1, 1, 2, "entry_t2", [record.ResponseClosed(T_US, "resp_1", "completed"), END[0]])),
    ]
    return CallEvidence("rtc_04_twin", entries, Account(end="hung_up"))


CASES = [(name, number) for name, cases in DOCTORED.items() for number in range(len(cases))]


def test_honest_evidence_has_no_violation() -> None:
    resting = [Resting("stt-1", "tasks", 9, 9), Resting("stt-1", "rss_kb", 90_000, 100_000)]

    assert check(evidence_of(resting=resting)) == []


def test_honest_approvals_and_ends_have_none_either() -> None:
    assert check(evidence_of(asked(APPROVED), decided=[TOLD])) == []
    assert check(evidence_of(asked(REFUSED, outcome=CANCELLED), effects=[])) == []
    assert check(evidence_of(answered())) == []
    assert check(hung_up(ENDED)) == []


def test_honest_faults_of_nodes_and_restarts_have_none_either() -> None:
    nodes = [left(NODE, 0.1), left(msgspec.structs.replace(HUNG, at_s=30.0), 1.7)]
    waited = later(ENTRIES, 3, 7.5)

    assert check(evidence_of(waited, faults=nodes)) == []
    assert check(evidence_of(faults=[REPLACED, left(LAME_DUCK, 1.3)], to_replace=["stt-a", "nats-1"])) == []


def test_who_was_hit_himself_or_used_the_only_server_has_no_node_to_leave() -> None:
    itself = Fault("stop", "stt", "stt-b", 2, 1.5, 4.5)
    alone = left(msgspec.structs.replace(NODE, worker=ALONE), 9.0)

    assert check(evidence_of(faults=[left(NODE, 5.0), itself])) == []
    assert check(evidence_of(later(ENTRIES, 3, 11.5), faults=[alone])) == []


@pytest.mark.parametrize(("name", "number"), CASES)
def test_an_invariant_complains_of_what_breaks_it_and_no_other_does(name: str, number: int) -> None:
    """But the fold's own count of strays, which may see it too."""
    violations = check(DOCTORED[name][number]())

    assert {violation.invariant for violation in violations} - {"no_strays"} == {name} - {"no_strays"}, violations
    assert violations


def test_every_invariant_is_put_to_the_test() -> None:
    assert set(DOCTORED) == set(INVARIANTS)


def test_played_before_it_was_said_is_a_violation() -> None:
    early = swapped(1, TURN[3], record.PlayedOut(T_US, "item_a1", 0, 480), TURN[3])

    violations = check(evidence_of(early))

    assert "played_was_said" in {violation.invariant for violation in violations}


def test_a_reply_that_its_caller_cut_short_need_not_be_whole() -> None:
    cut = record.ItemTruncated(T_US, "item_a2", "You", 100, True)
    entries = swapped(3, REST[3])
    events = [event for event in entries[3].entry.events if event not in REST[6:9]]
    closed = record.ResponseClosed(T_US, "resp_1", "cancelled", "turn_detected")
    events = [closed if event is REST[5] else event for event in events] + [REST[6], cut]
    entries[3] = msgspec.structs.replace(entries[3], entry=msgspec.structs.replace(entries[3].entry, events=events))
    end = msgspec.structs.replace(entries[4].entry, index=11 + len(events))
    entries[4] = msgspec.structs.replace(entries[4], entry=end)

    uncut = check(evidence_of(entries, told(heard=HEARD[:2])))
    cut_by_caller = check(evidence_of(entries, told(heard=HEARD[:2], interruptions_s=[2.5])))

    assert {violation.invariant for violation in uncut} == {"replies_are_whole"}
    assert cut_by_caller == []


def test_a_caller_who_had_gone_already_was_not_lost() -> None:
    lost = swapped(4, END[0], record.Ended(5 * T_US, "lost"))

    assert check(evidence_of(lost)) == []
    assert {one.invariant for one in check(evidence_of(lost, told(ended_s=6.0)))} == {"stays_connected"}


def test_of_a_caller_who_vanished_only_what_he_knew_for_sure_is_judged() -> None:
    lost = swapped(4, END[0], record.Ended(5 * T_US, "lost"))
    half_way = told(said=[], heard=HEARD[:3], end="vanished")
    wrong = told(transcripts=["4712"], end="vanished")

    assert check(evidence_of(lost, half_way)) == []
    assert {one.invariant for one in check(evidence_of(lost, wrong))} == {"turns_are_what_was_said"}
    assert {one.invariant for one in check(evidence_of(lost, told(end="vanished", ended_s=6.0)))} == {"stays_connected"}


def test_what_a_later_owner_cut_by_the_clients_word_was_not_heard_to_its_end() -> None:
    """The caller's line stood still, and the gateway before took for heard what was on its way."""
    played = record.PlayedOut(T_US, "item_a1", 0, 600)
    cut = record.ItemTruncated(T_US, "item_a1", "One", 480, True)
    later = evidence_of(changed(3, events=[played, cut, *REST]))
    overruled = swapped(1, TURN[3], TURN[3], played)
    overruled[3] = msgspec.structs.replace(
        overruled[3], entry=msgspec.structs.replace(overruled[3].entry, events=[cut, *REST])
    )

    assert "segments_are_heard_once" in {one.invariant for one in check(later)}
    assert "segments_are_heard_once" not in {one.invariant for one in check(evidence_of(overruled))}


def test_unknown_may_become_what_turned_out_later() -> None:
    unknown = record.ToolFinished(T_US, "call_1", "unknown", "It is not known whether book was done.", "")

    assert check(evidence_of(swapped(3, REST[0], unknown, REST[0]))) == []
    assert check(evidence_of(swapped(3, REST[0], unknown), effects=[])) == []


def test_a_client_that_is_told_no_segments_is_judged_by_what_it_can_know() -> None:
    heard = [msgspec.structs.replace(piece, segment=-1, position=0) for piece in HEARD]

    assert check(evidence_of(account=told(heard=heard))) == []


def test_a_dump_is_read_back_as_it_was(tmp_path: Path) -> None:
    fault = evidence.Fault("stop", "agent", "a1", 4711, 1.2, 2.4, [CALL], [CALL])
    run = evidence.Run([fault], EFFECTS, [Resting("a1", "tasks", 3, 3)], ["503"])
    before = Evidence(evidence_of().calls, run)

    evidence.dump(before, tmp_path / "dump")

    assert evidence.load(tmp_path / "dump") == before


def test_what_is_no_dump_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--check"):
        evidence.load(tmp_path)


def test_the_command_judges_a_dump_and_says_by_its_status_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence.dump(evidence_of(), tmp_path / "honest")
    evidence.dump(evidence_of(effects=EFFECTS * 2), tmp_path / "doctored")

    honest = run(["chaos", "--check", str(tmp_path / "honest"), "--json"])
    told_honest = msgspec.json.decode(capsys.readouterr().out)
    doctored = run(["chaos", "--check", str(tmp_path / "doctored"), "--json"])
    told_doctored = msgspec.json.decode(capsys.readouterr().out)

    assert (honest, told_honest["violations"], told_honest["calls"], told_honest["turns"]) == (0, {}, 1, 1)
    assert (doctored, list(told_doctored["violations"])) == (1, ["at_most_one_effect"])
    assert told_honest["tools"] == {"ok": 1}
    assert {"faults", "gap_ms"} <= told_honest.keys()
