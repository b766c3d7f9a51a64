"""What the caller makes of the server's events, told as short calls with times in samples."""

import base64

import numpy as np
import pytest

from trunkline.cli.listener import HeardTurn, Listener, Moment
from trunkline.cli.player import Player
from trunkline.cli.realtime import Truncate
from trunkline.cli.report import report
from trunkline.client import events

SECOND = 24_000


class Script:
    """Plays the server: each method is what it says at a time in seconds."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.listener = Listener(Player(), self.moments.append)

    def sends(self, at_s: float, **event: object) -> list[object]:
        decoded = events.decode(events.encode(event).decode())
        return list(self.listener.on_event(decoded, int(at_s * SECOND)))

    def greets(self, at_s: float, length_s: float) -> None:
        self.responds(at_s, "resp_g")
        self.says(at_s, "resp_g", "item_g", "final_answer", "Hello.", length_s)
        self.finishes(at_s, "resp_g")

    def hears(self, at_s: float, item: str, text: str) -> None:
        self.sends(at_s, type="input_audio_buffer.speech_stopped", item_id=item)
        self.sends(at_s, type="input_audio_buffer.committed", item_id=item)
        self.sends(at_s, type="conversation.item.input_audio_transcription.completed", item_id=item, transcript=text)

    def responds(self, at_s: float, response: str) -> None:
        self.sends(at_s, type="response.created", response={"id": response, "status": "in_progress"})

    def says(self, at_s: float, response: str, item: str, phase: str | None, text: str, length_s: float) -> None:
        message = {"id": item, "role": "assistant", "type": "message", "phase": phase}
        self.sends(at_s, type="response.output_item.added", response_id=response, item=message)
        self.sends(at_s, type="response.output_audio_transcript.delta", response_id=response, item_id=item, delta=text)
        pcm = np.ones(int(length_s * SECOND), dtype="<i2").tobytes()
        delta = base64.b64encode(pcm).decode()
        self.sends(at_s, type="response.output_audio.delta", response_id=response, item_id=item, delta=delta)
        self.sends(at_s, type="response.output_item.done", response_id=response, item=message)

    def finishes(self, at_s: float, response: str, status: str = "completed") -> None:
        self.sends(at_s, type="response.done", response={"id": response, "status": status})

    def line(self, end_s: float) -> HeardTurn:
        turn = self.listener.begin_turn()
        self.listener.end_speech(turn, int(end_s * SECOND))
        return turn


def at(seconds: float) -> int:
    return int(seconds * SECOND)


@pytest.fixture
def script() -> Script:
    return Script()


def a_tool_turn(script: Script) -> HeardTurn:
    """Speech ends at 5.0; commentary is heard from 6.0 to 7.5, the answer from 8.0 to 10.0."""
    turn = script.line(5.0)
    script.hears(5.5, "item_u", "Where is my order?")
    script.responds(5.6, "resp_1")
    script.says(6.0, "resp_1", "item_c", "commentary", "One moment.", 1.5)
    script.says(8.0, "resp_1", "item_a", "final_answer", "It was shipped.", 2.0)
    script.finishes(8.0, "resp_1")
    return turn


def test_a_greeting_is_over_when_it_has_been_heard_and_is_no_turn(script: Script) -> None:
    script.greets(0.0, 2.0)

    assert not script.listener.quiet(at(1.9))
    assert script.listener.quiet(at(2.0))
    assert report(script.listener, None).turns == []
    assert report(script.listener, None).greeting == "Hello."


def test_a_turn_is_answered_when_its_answer_has_been_heard_to_the_end(script: Script) -> None:
    turn = a_tool_turn(script)

    assert not script.listener.answered(turn, at(9.9))
    assert script.listener.answered(turn, at(10.0))


def test_delays_count_from_the_last_voiced_sample_by_phase(script: Script) -> None:
    a_tool_turn(script)

    (turn,) = report(script.listener, None).turns

    assert turn.caller_text == "Where is my order?"
    assert (turn.commentary, turn.answer) == (["One moment."], "It was shipped.")
    assert (turn.first_audio_s, turn.commentary_audio_s, turn.answer_audio_s) == (1.0, 1.0, 3.0)
    assert not turn.interrupted


def test_a_response_to_the_first_half_of_a_line_is_not_its_answer(script: Script) -> None:
    turn = script.listener.begin_turn()
    script.hears(2.0, "item_1", "I would like")
    script.responds(2.1, "resp_1")
    script.says(2.2, "resp_1", "item_a", "final_answer", "Yes?", 0.5)
    script.finishes(2.2, "resp_1")
    script.listener.end_speech(turn, at(4.0))

    assert not script.listener.answered(turn, at(4.2))

    script.hears(4.5, "item_2", "to know more.")
    script.responds(4.6, "resp_2")
    script.says(4.8, "resp_2", "item_b", "final_answer", "Of course.", 0.5)
    script.finishes(4.8, "resp_2")
    (said,) = report(script.listener, None).turns
    assert script.listener.answered(turn, at(5.3))
    assert said.caller_text == "I would like to know more."
    assert said.first_audio_s == pytest.approx(0.8)


def test_a_committed_item_keeps_the_turn_open_until_it_is_answered(script: Script) -> None:
    turn = a_tool_turn(script)
    script.sends(9.0, type="input_audio_buffer.committed", item_id="item_u2")

    assert not script.listener.answered(turn, at(11.0))

    script.sends(9.5, type="conversation.item.input_audio_transcription.completed", item_id="item_u2", transcript=" ")
    assert script.listener.answered(turn, at(11.0))


def test_speech_stops_the_player_and_says_what_was_heard(script: Script) -> None:
    a_tool_turn(script)

    answers = script.sends(8.5, type="input_audio_buffer.speech_started", item_id="item_u2", audio_start_ms=8400)

    assert answers == [Truncate("item_a", 500)]
    assert report(script.listener, None).turns[0].interrupted
    assert not script.listener.quiet(at(8.6))


def test_speech_in_silence_truncates_nothing(script: Script) -> None:
    script.greets(0.0, 1.0)

    assert script.sends(1.5, type="input_audio_buffer.speech_started", item_id="item_u") == []


def test_an_interrupted_reply_stays_with_its_own_turn(script: Script) -> None:
    a_tool_turn(script)
    script.listener.begin_turn()
    script.sends(8.5, type="input_audio_buffer.speech_started", item_id="item_u2")
    script.finishes(8.5, "resp_1", "cancelled")

    first, second = report(script.listener, None).turns
    assert (first.interrupted, second.interrupted) == (True, False)
    assert second.first_audio_s is None


def test_a_reply_that_fell_silent_before_it_was_cancelled_was_interrupted(script: Script) -> None:
    turn = a_tool_turn(script)
    script.sends(10.2, type="input_audio_buffer.speech_started", item_id="item_u2")
    script.finishes(10.3, "resp_1", "cancelled")

    assert turn.interrupted
    assert script.listener.silent_since == at(10.0)


def test_a_phase_that_settles_late_counts(script: Script) -> None:
    script.line(5.0)
    script.responds(5.6, "resp_1")
    script.says(6.0, "resp_1", "item_c", None, "Let me see.", 1.0)
    done = {"id": "item_c", "role": "assistant", "phase": "commentary"}
    script.sends(7.0, type="response.output_item.done", response_id="resp_1", item=done)

    (turn,) = report(script.listener, None).turns
    assert (turn.commentary, turn.answer) == (["Let me see."], "")


def test_moments_are_told_in_the_order_of_the_call(script: Script) -> None:
    a_tool_turn(script)

    kinds = [moment.kind for moment in script.moments]
    assert kinds == ["speech_end", "transcript", "commentary_audio", "item", "answer_audio", "item"]


def test_an_unknown_event_is_passed_over(script: Script) -> None:
    assert script.sends(0.0, type="rate_limits.updated", rate_limits=[{"name": "tokens"}]) == []
    assert events.decode('{"type":"x","unknown":[1,2]}').type == "x"
