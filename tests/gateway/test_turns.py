"""Turn-taking, decided from facts; no clock, no loop."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.decisions import (
    AnnounceStarted,
    AnnounceStopped,
    AnswerAfterAll,
    CommitAudio,
    Decision,
    Flush,
    GiveUp,
    Hold,
    OrderDiscard,
    OrderFinish,
    Resume,
    TakeTurn,
)
from trunkline.gateway.turns import COMMIT_SAMPLES, CONFIRM_SAMPLES, Policy, Turns
from trunkline.proto.errors import BadInput


def turns(**policy: bool) -> Turns:
    ids = count(1)
    made = Turns(lambda: f"item_{next(ids)}")
    made.policy = Policy(**policy)
    return made


def started(t: Turns, number: int, at: int = 0, *, busy: bool = False, echo: bool = False) -> list[Decision]:
    return t.speech_started(number, at, at + 1600, voiced_samples=1600, busy=busy, echo=echo)


def test_speech_on_a_quiet_line_is_announced_at_once() -> None:
    t = turns()

    assert started(t, 1, 500) == [AnnounceStarted("item_1", 500)]
    assert t.speech_stopped(1, 9000) == [AnnounceStopped("item_1", 9000)]
    assert t.final(1, " Hello ", 0, 9000) == [
        CommitAudio("item_1"),
        TakeTurn(1, "item_1", "Hello", "speech", 0, 9000, True),
    ]


def test_speech_over_the_agent_holds_and_then_flushes() -> None:
    t = turns()

    assert started(t, 1, busy=True) == [Hold()]
    assert t.goes_on(CONFIRM_SAMPLES - 1601, 9999, echo=False) == []
    assert t.goes_on(1, 9999, echo=False) == [AnnounceStarted("item_1", 0), Flush()]
    assert not t.watching


def test_words_confirm_speech_that_was_too_short_to_be_sure_of() -> None:
    t = turns()
    started(t, 1, busy=True)
    t.speech_stopped(1, 2000)

    decisions = t.final(1, "Stop", 0, 2000)

    assert decisions[:2] == [AnnounceStarted("item_1", 0), Flush()]
    assert isinstance(decisions[-1], TakeTurn)


@pytest.mark.parametrize("end", ["final", "failed", "clear", "echo"])
def test_what_turns_out_to_be_nothing_resumes(end: str) -> None:
    t = turns()
    started(t, 1, busy=True)

    match end:
        case "final":
            decisions = t.final(1, "  ", 0, 2000)
        case "failed":
            decisions = t.failed(1, "engine")
        case "clear":
            decisions = t.clear(2000)
        case _:
            decisions = t.goes_on(320, 2000, echo=True)

    assert decisions[0] == Resume()
    assert not [d for d in decisions if isinstance(d, TakeTurn | AnnounceStarted | CommitAudio)]


def test_an_echo_is_discarded_and_its_words_make_no_turn() -> None:
    t = turns()

    assert started(t, 1, busy=True, echo=True) == [OrderDiscard(0, 1600)]
    assert t.speech_stopped(1, 2000) == []
    assert t.final(1, "what the agent said", 0, 2000) == []


def test_without_interruption_speech_over_the_agent_is_announced_and_nothing_held() -> None:
    t = turns(interrupt=False)

    assert started(t, 1, busy=True) == [AnnounceStarted("item_1", 0)]


def test_turns_are_taken_in_the_order_in_which_they_were_said() -> None:
    t = turns()
    started(t, 1, 0)
    started(t, 2, 5000)

    assert t.final(2, "second", 5000, 9000) == [AnnounceStopped("item_2", 9000)]
    taken = [d for d in t.final(1, "first", 0, 4000) if isinstance(d, TakeTurn)]
    assert [(d.turn, d.text) for d in taken] == [(1, "first"), (2, "second")]


def test_a_turn_after_which_the_caller_goes_on_is_not_answered_by_itself() -> None:
    t = turns()
    started(t, 1, 0)
    started(t, 2, 5000)
    [first] = [d for d in t.final(1, "first", 0, 4000) if isinstance(d, TakeTurn)]
    [second] = [d for d in t.final(2, "second", 5000, 9000) if isinstance(d, TakeTurn)]

    assert (first.respond, second.respond) == (False, True)


def test_a_session_may_answer_turns_by_itself() -> None:
    t = turns(respond=False)
    started(t, 1)
    [taken] = [d for d in t.final(1, "first", 0, 4000) if isinstance(d, TakeTurn)]

    assert not taken.respond


def test_push_to_talk_bounds_an_utterance_by_the_client_s_word() -> None:
    t = turns(automatic=False)
    assert started(t, 1) == []

    finish, commit = t.commit(16_000)
    assert isinstance(finish, OrderFinish)
    assert (finish.from_sample, finish.to_sample, commit) == (0, 16_000, CommitAudio("item_1"))
    assert t.unsettled
    assert t.final(finish.utterance, "", 0, 16_000) == [TakeTurn(0, "item_1", "", "speech", 0, 16_000, False)]
    assert not t.unsettled


def test_a_commit_of_next_to_nothing_is_refused() -> None:
    t = turns(automatic=False)
    t.commit(16_000)

    with pytest.raises(BadInput) as refused:
        t.commit(16_000 + COMMIT_SAMPLES - 1)
    assert refused.value.code == "input_audio_buffer_commit_empty"


def test_a_commit_takes_over_the_utterance_that_vad_had_begun() -> None:
    t = turns()
    started(t, 1, 500)

    stopped, finish, commit = t.commit(8000)

    assert (stopped, commit) == (AnnounceStopped("item_1", 8000), CommitAudio("item_1"))
    assert isinstance(finish, OrderFinish)
    assert t.final(1, "", 500, 8000) == []
    [taken] = t.final(finish.utterance, "Hello", 0, 8000)
    assert isinstance(taken, TakeTurn)
    assert (taken.item, taken.text) == ("item_1", "Hello")


@pytest.mark.parametrize(("rest", "text"), [("", "my number is"), ("four two", "my number is four two")])
def test_words_that_stt_had_ended_as_the_client_committed_are_in_the_item(rest: str, text: str) -> None:
    t = turns()
    started(t, 1, 500)
    finish = next(x for x in t.commit(9_000) if isinstance(x, OrderFinish))

    assert t.speech_stopped(1, 6_000) == []
    assert t.final(1, "my number is", 500, 6_000) == []
    assert t.final(finish.utterance, rest, 6_000, 9_000) == [TakeTurn(1, "item_1", text, "speech", 500, 9_000, False)]


def test_a_commit_of_which_a_part_was_not_recognised_has_no_transcript() -> None:
    t = turns()
    started(t, 1, 500)
    finish = next(x for x in t.commit(9_000) if isinstance(x, OrderFinish))
    t.speech_stopped(1, 6_000)

    assert t.failed(1, "engine failed") == []
    assert t.final(finish.utterance, "four two", 6_000, 9_000) == [GiveUp("item_1", "engine failed")]
    assert not t.under_way


def test_a_clear_behind_a_commit_takes_nothing_of_what_was_committed() -> None:
    t = turns()
    finish = next(x for x in t.commit(40_000) if isinstance(x, OrderFinish))
    t.clear(40_000)
    assert started(t, 1, 500) == []
    assert started(t, 2, 20_000) == []
    t.final(1, "earlier", 500, 10_000)
    decisions = t.final(finish.utterance, "later", 20_000, 40_000)  # STT let go of the second

    assert [x.text for x in decisions if isinstance(x, TakeTurn)] == ["later"]
    assert not t.unsettled
    assert not t.under_way


def test_typed_text_waits_for_what_was_said_before() -> None:
    t = turns()
    started(t, 1, 0)
    t.speech_stopped(1, 4000)

    assert t.typed("item_t", "typed") == []
    taken = [d for d in t.final(1, "spoken", 0, 4000) if isinstance(d, TakeTurn)]
    assert [d.text for d in taken] == ["spoken", "typed"]


def test_an_utterance_that_the_engine_gave_up_is_told_when_it_was_announced() -> None:
    t = turns()
    started(t, 1)

    assert t.failed(1, "engine") == [CommitAudio("item_1"), GiveUp("item_1", "engine")]


def test_a_short_word_over_the_agent_is_announced_with_its_end() -> None:
    t = turns()
    started(t, 1, busy=True)
    t.speech_stopped(1, 2000)

    decisions = t.final(1, "Stop", 0, 2000)

    assert decisions[:3] == [AnnounceStarted("item_1", 0), Flush(), AnnounceStopped("item_1", 2000)]


def test_a_clear_forgets_neither_typed_text_nor_what_was_said_to_its_end() -> None:
    t = turns()
    started(t, 1, 0)
    t.speech_stopped(1, 4000)
    t.typed("item_t", "typed")

    assert t.clear(5000) == [OrderDiscard(4000, 5000)]
    taken = [d for d in t.final(1, "spoken", 0, 4000) if isinstance(d, TakeTurn)]
    assert [d.text for d in taken] == ["spoken", "typed"]


@pytest.mark.parametrize("end", ["clear", "manual"])
def test_speech_that_was_announced_is_announced_to_stop_when_it_is_forgotten(end: str) -> None:
    t = turns()
    started(t, 1, 500)

    decisions = t.clear(5000) if end == "clear" else t.follow(Policy(automatic=False), 5000)

    assert decisions[0] == AnnounceStopped("item_1", 5000)
    assert t.final(1, "late", 500, 4000) == []


@pytest.mark.parametrize("end", ["final", "failed", "clear"])
def test_a_turn_after_which_the_caller_only_seemed_to_go_on_is_answered(end: str) -> None:
    t = turns()
    started(t, 1, 0)
    started(t, 2, 5000)
    t.final(1, "first", 0, 4000)

    match end:
        case "final":
            decisions = t.final(2, "", 5000, 9000)
        case "failed":
            decisions = t.failed(2, "engine")
        case _:
            decisions = t.clear(9000)

    assert decisions[-1] == AnswerAfterAll()
    started(t, 3, 9000)
    assert AnswerAfterAll() not in t.final(3, "", 9000, 9900)


def test_speech_after_a_client_bounded_utterance_is_none_of_the_client_s() -> None:
    t = turns()
    finish = next(d for d in t.commit(16_000) if isinstance(d, OrderFinish))
    t.final(finish.utterance, "pushed", 0, 16_000)
    started(t, finish.utterance + 1, 20_000)  # STT counts on from there
    t.typed("item_t", "typed")
    t.speech_stopped(finish.utterance + 1, 30_000)
    again = next(d for d in t.commit(60_000) if isinstance(d, OrderFinish))

    assert again.utterance != finish.utterance + 1
    taken = [d for d in t.final(finish.utterance + 1, "spoken", 20_000, 30_000) if isinstance(d, TakeTurn)]
    assert [d.text for d in taken] == ["spoken"]


def test_typed_text_does_not_wait_for_a_caller_who_still_speaks() -> None:
    t = turns()
    started(t, 1, 0)

    assert t.typed("item_t", "typed") == [TakeTurn(1, "item_t", "typed", "text")]
    taken = [d for d in t.final(1, "spoken", 0, 4000) if isinstance(d, TakeTurn)]
    assert [(d.turn, d.text) for d in taken] == [(2, "spoken")]


def test_a_response_waits_for_typed_text_that_waits() -> None:
    t = turns()
    started(t, 1, 0)
    t.speech_stopped(1, 4000)
    t.typed("item_t", "typed")

    assert t.unsettled
    t.final(1, "spoken", 0, 4000)
    assert not t.unsettled


def test_a_hold_whose_end_stt_will_never_know_is_let_go_and_its_words_still_make_a_turn() -> None:
    t = turns()
    started(t, 1, 0, busy=True)

    assert t.falls_silent() == [Resume()]
    assert not t.watching
    decisions = t.final(1, "Stop it", 0, 4000)
    assert decisions[0] == AnnounceStarted("item_1", 0)
    assert [d.text for d in decisions if isinstance(d, TakeTurn)] == ["Stop it"]


def test_an_utterance_that_another_worker_hears_again_is_the_same() -> None:
    t = turns()
    started(t, 4, 50_000)
    t.listener_changed(40_000)

    assert t.knows(50_400)
    assert started(t, 1, 50_400) == []
    assert t.speech_stopped(1, 60_000) == [AnnounceStopped("item_1", 60_000)]
    assert t.final(1, "words", 50_000, 60_000)[0] == CommitAudio("item_1")


def test_the_nearest_of_two_utterances_is_the_one_that_is_heard_again() -> None:
    t = turns()
    started(t, 1, 10_000)
    t.speech_stopped(1, 12_000)
    started(t, 2, 17_000)
    t.listener_changed(5_000)

    started(t, 1, 16_800)
    decisions = t.final(1, "second", 16_000, 30_000)
    assert [x for x in decisions if isinstance(x, TakeTurn)] == [
        TakeTurn(1, "item_2", "second", "speech", 16_000, 30_000, True)
    ]
    assert not t.unsettled


@pytest.mark.parametrize("word", ["silent", "started"])
def test_an_utterance_that_the_next_worker_passes_by_ends_without_words(word: str) -> None:
    t = turns()
    started(t, 1, 10_000)
    t.listener_changed(5_000)

    match word:
        case "silent":
            assert t.judged(10_000 + 11_200) == []
            decisions = t.judged(10_001 + 11_200)
        case _:
            decisions = started(t, 1, 30_000)

    assert any(isinstance(x, AnnounceStopped) and x.item == "item_1" for x in decisions)
    assert not t.unsettled


def test_a_hold_is_let_go_when_the_next_worker_hears_nothing() -> None:
    t = turns()
    started(t, 1, 10_000, busy=True)
    t.listener_changed(5_000)

    assert t.judged(40_000) == [Resume()]


def test_what_may_be_part_of_an_open_utterance_is_not_passed_by_yet() -> None:
    t = turns()
    started(t, 1, 10_000)
    started(t, 2, 30_000)
    t.listener_changed(5_000)
    started(t, 1, 10_000)

    assert t.judged(60_000) == []
    decisions = t.final(1, "both", 10_000, 50_000)
    assert AnnounceStopped("item_2", 50_000) in decisions
    assert [x.text for x in decisions if isinstance(x, TakeTurn)] == ["both"]
    assert not t.speaking


def test_what_a_client_bounded_is_not_taken_for_the_utterance_behind_it() -> None:
    t = turns()
    started(t, 1, 500)
    t.commit(4_000)
    started(t, 1_000_001, 4_000)
    t.listener_changed(0)

    assert started(t, 1_000_002, 500) == []
    assert not t.knows(500)
    assert t.knows(4_100)


def test_speech_before_a_commit_that_stt_ended_first_keeps_its_words_and_its_place() -> None:
    t = turns()
    finish = next(x for x in t.commit(40_000) if isinstance(x, OrderFinish))
    assert started(t, 1, 500) == []
    t.final(finish.utterance, "later", 20_000, 40_000)
    decisions = t.final(1, "earlier", 500, 10_000)

    assert [x.text for x in decisions if isinstance(x, TakeTurn)] == ["earlier", "later"]


def test_speech_that_a_clear_met_on_its_way_is_none() -> None:
    t = turns()
    t.clear(5_000)

    assert started(t, 1, 3_000) == []
    assert t.final(1, "gone", 3_000, 6_000) == []
    assert started(t, 2, 5_000) == [AnnounceStarted("item_1", 5_000)]


_typed = count()
FACTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "start",
                "busy",
                "echo",
                "on",
                "mute",
                "stop",
                "final",
                "empty",
                "fail",
                "commit",
                "clear",
                "typed",
                "manual",
                "auto",
                "changed",
                "judged",
            ],
        ),
        st.integers(1, 6),
        st.integers(0, 4000),
    ),
    max_size=60,
)


@given(FACTS)
def test_whatever_happens_each_item_has_one_turn_at_most_and_a_hold_ends(facts: list[tuple[str, int, int]]) -> None:
    t = turns()
    position = 0
    held = 0
    decisions: list[Decision] = []
    finishes: list[int] = []
    for fact, number, samples in facts:
        position += samples
        decided = happen(t, fact, number, position, finishes)
        finishes += [d.utterance for d in decided if isinstance(d, OrderFinish)]
        for decision in decided:
            held = 1 if isinstance(decision, Hold) else 0 if isinstance(decision, Resume | Flush) else held
        decisions += decided
    ends = [t.final(number, "", position, position) for number in [*range(1, 7), *finishes]]
    for decision in [x for end in [*ends, t.judged(position + 1_000_000)] for x in end]:
        held = 0 if isinstance(decision, Resume | Flush) else held
        decisions.append(decision)

    turn_numbers = [d.turn for d in decisions if isinstance(d, TakeTurn) and d.text]
    items = Counter(d.item for d in decisions if isinstance(d, TakeTurn))
    assert turn_numbers == sorted(set(turn_numbers))
    assert all(n == 1 for n in items.values())
    assert held == 0
    assert not t.unsettled
    assert all(d.turn for d in decisions if isinstance(d, TakeTurn) and d.source == "text")
    assert sum(d.source == "text" for d in decisions if isinstance(d, TakeTurn)) == [f for f, *_ in facts].count(
        "typed"
    )
    started_items = [d.item for d in decisions if isinstance(d, AnnounceStarted)]
    stopped_items = [d.item for d in decisions if isinstance(d, AnnounceStopped)]
    assert len(started_items) == len(set(started_items))
    assert set(stopped_items) <= set(started_items)
    assert len(stopped_items) == len(set(stopped_items))


def samples_back(number: int) -> int:
    """How far a replay reaches back."""
    return number * 5000


def happen(t: Turns, fact: str, number: int, position: int, finishes: list[int]) -> list[Decision]:
    match fact:
        case "start" | "busy" | "echo":
            return t.speech_started(
                number, position, position + 1600, voiced_samples=1600, busy=fact == "busy", echo=fact == "echo"
            )
        case "on":
            return t.goes_on(position % 2000, position, echo=number == 6)
        case "mute":
            return t.falls_silent()
        case "changed":
            return t.listener_changed(max(0, position - samples_back(number)))
        case "judged":
            return t.judged(position)
        case "manual" | "auto":
            return t.follow(Policy(automatic=fact == "auto", respond=fact == "auto"), position)
        case "stop":
            return t.speech_stopped(number, position)
        case "final" | "empty":
            which = finishes[number % len(finishes)] if finishes and number > 3 else number
            return t.final(which, "words" if fact == "final" else "", max(0, position - 10), position)
        case "fail":
            return t.failed(number, "engine")
        case "clear":
            return t.clear(position)
        case "typed":
            return t.typed(f"typed_{next(_typed)}", "typed")
        case _:
            try:
                return t.commit(position)
            except BadInput:
                return []
