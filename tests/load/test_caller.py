"""A caller's turns, by hand: what is said when, and what is measured of the reply."""

import pytest

from load.talk import BURST_FRAMES, Talk
from trunkline.cli.load.caller import CUT_AFTER_S, HEARING_LIMIT_S, REPLY_LIMIT_S, SETTLE_S
from trunkline.cli.load.wheel import FRAME_S


def test_the_time_to_a_session_counts_from_dialling() -> None:
    talk = Talk().connected()

    assert talk.tally.setup_ms == [pytest.approx(4.0)]


def test_a_caller_is_silent_until_he_has_settled_and_then_says_a_whole_burst() -> None:
    talk = Talk().connected()

    talk.until_said()

    silent = talk.sent[:-BURST_FRAMES]
    assert talk.sent[-BURST_FRAMES:] == talk.voice.lines[0]
    assert set(silent) == {talk.voice.silence}
    assert len(silent) >= SETTLE_S / FRAME_S


def test_the_commit_is_in_one_write_with_the_last_frame_and_only_there() -> None:
    talk = Talk()

    frames = talk.voice.lines[0]

    assert [b"input_audio_buffer.commit" in frame for frame in frames] == [False] * (BURST_FRAMES - 1) + [True]
    assert b"response.create" in frames[-1]


def test_with_vad_nothing_is_committed() -> None:
    assert not any(b"commit" in frame for frame in Talk("vad").voice.lines[0])


def test_a_reply_is_timed_by_its_first_audio_alone() -> None:
    talk = Talk().connected()
    said_s = talk.until_said()
    talk.after(0.007)
    talk.caller.reply_began()
    for _ in range(3):
        talk.caller.audio(0.1)
        talk.after(0.05)

    [turn] = talk.tally.turns

    assert turn.at_s == said_s
    assert [turn.first_audio_ms, turn.added_ms] == pytest.approx([7.0, 7.0])


def test_audio_of_a_reply_that_began_before_the_burst_ended_answers_nothing() -> None:
    talk = interrupted("vad")
    talk.until_said()
    talk.caller.audio(0.1)

    assert len(talk.tally.turns) == 1  # of the turn before


def test_the_next_burst_waits_until_the_reply_was_heard_out() -> None:
    talk = Talk().connected()
    talk.until_said()
    talk.caller.audio(2.0)
    began_s = talk.now_s
    talk.caller.reply_over()

    ended_s = talk.until_said()

    assert ended_s - began_s == pytest.approx(2.0 + BURST_FRAMES * FRAME_S, abs=2 * FRAME_S)


def test_a_caller_rests_about_as_long_as_he_was_told_to() -> None:
    talk = Talk(think_s=2.0).connected()
    talk.until_said()
    talk.caller.audio(0.0)
    began_s = talk.now_s
    talk.caller.reply_over()

    rested_s = talk.until_said() - began_s - BURST_FRAMES * FRAME_S

    assert 1.0 <= rested_s <= 3.0 + 2 * FRAME_S


def test_a_reply_that_never_comes_fails_the_call() -> None:
    talk = Talk().connected()
    talk.until_said()

    talk.ticks(int(REPLY_LIMIT_S / FRAME_S) + 2)

    assert talk.over == "no reply within 15 s"


def test_a_reply_that_never_ends_fails_the_call() -> None:
    talk = Talk().connected()
    talk.until_said()
    talk.caller.audio(0.1)

    talk.ticks(int(HEARING_LIMIT_S / FRAME_S) + 2)

    assert talk.over == "a reply did not end within 60 s"


def test_a_call_that_is_not_set_up_in_time_fails_and_one_that_is_does_not() -> None:
    waiting, talking = Talk(), Talk().connected()

    for talk in (waiting, talking):
        talk.caller.not_set_up(10.0)

    assert (waiting.over, talking.over) == ("not set up within 10 s", None)


def interrupted(turns: str) -> Talk:
    """In mid-reply, when the caller has just begun to speak into it."""
    talk = Talk("vad" if turns == "vad" else "commit", barge_in=1.0).connected()
    talk.until_said()
    talk.caller.reply_began()
    talk.caller.audio(2.0)
    for _ in range(int(CUT_AFTER_S[1] / FRAME_S) + 1):
        if not talk.tally.barge_ins:
            talk.ticks(1)
    return talk


def test_a_caller_who_interrupts_says_so_where_nobody_listens_for_it() -> None:
    talk = interrupted("commit")

    assert talk.sent[-1] == talk.voice.cancel


def test_silence_after_a_barge_in_counts_from_the_first_voiced_sample_until_the_server_noticed() -> None:
    talk = interrupted("vad")
    talk.after(0.2)
    talk.caller.noticed()
    talk.caller.noticed()

    assert talk.tally.silence_ms == [pytest.approx(200.0)]


def test_a_reply_that_was_cancelled_is_silent_once_it_is_over() -> None:
    talk = interrupted("commit")
    talk.after(0.003)
    talk.caller.reply_over()

    assert talk.tally.silence_ms == [pytest.approx(3.0)]


def test_what_is_said_into_a_reply_is_a_turn_of_its_own() -> None:
    talk = interrupted("vad")
    talk.caller.noticed()
    talk.caller.reply_over()
    talk.until_said()
    talk.caller.reply_began()
    talk.after(0.5)
    talk.caller.audio(0.1)

    assert [round(turn.first_audio_ms) for turn in talk.tally.turns] == [0, 500]


def test_at_the_end_a_caller_who_waits_still_gets_his_reply_and_one_who_rests_is_gone() -> None:
    resting, waiting = Talk().connected(), Talk().connected()
    waiting.until_said()

    for talk in (resting, waiting):
        talk.caller.last_orders()
    before = waiting.over
    waiting.after(3.0)
    waiting.caller.audio(0.1)

    assert (resting.over, before, waiting.over) == ("", None, "")
    assert [round(turn.first_audio_ms) for turn in waiting.tally.turns] == [3000]


def test_a_call_ends_once() -> None:
    talk = Talk().connected()

    talk.caller.failed("the connection broke")
    talk.caller.failed("and again")

    assert talk.over == "the connection broke"
