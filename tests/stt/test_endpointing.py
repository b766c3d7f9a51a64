"""When an utterance begins and ends, driven by voice probabilities on a clock of windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.proto.speech import TurnRules
from trunkline.stt.endpointing import (
    LEAD_MS,
    LONGEST_SAMPLES,
    Attempt,
    Draft,
    Dropped,
    Endpointer,
    Resumed,
    Started,
    Stopped,
)
from trunkline.stt.vad import WINDOW_SAMPLES

from .driving import Caller, Heard, silence, voice

RULES = TurnRules()
MANUAL = TurnRules(automatic=False)
MS = 16  # samples


def says(*words: str) -> Caller:
    """A caller whose attempts give these words in turn, the last of them for ever."""
    left = list(words)
    return Caller(RULES, lambda attempt: left.pop(0) if len(left) > 1 else left[0])


def test_speech_starts_within_150_ms_and_is_placed_at_its_first_voice() -> None:
    caller = says("hello").hear(silence(1.0) + voice(0.5))

    [started] = caller.of(Started)
    assert started == Started(1, round(1.0 * 31.25) * WINDOW_SAMPLES)
    assert caller.when(Started)[0] - started.at_sample <= 150 * MS


def test_a_click_starts_nothing() -> None:
    caller = says("hello").hear(silence(1.0) + voice(0.064) + silence(2.0))

    assert caller.of(Started) == []


def test_an_utterance_ends_after_its_silence_and_excludes_it() -> None:
    caller = says("yes please").hear(silence(1.0) + voice(1.0) + silence(1.0))

    [stopped] = caller.of(Stopped)
    assert isinstance(stopped, Stopped)
    assert stopped.to_sample == len(silence(1.0) + voice(1.0)) * WINDOW_SAMPLES
    assert 500 * MS <= caller.when(Stopped)[0] - stopped.to_sample < 500 * MS + WINDOW_SAMPLES
    assert caller.finals == [Heard(1, "yes please", stopped.from_sample, stopped.to_sample)]


def test_recognition_starts_at_the_first_short_silence() -> None:
    caller = says("yes please").hear(silence(1.0) + voice(1.0) + silence(1.0))

    [attempt_at] = caller.when(Attempt)
    assert attempt_at - len(silence(1.0) + voice(1.0)) * WINDOW_SAMPLES < 200 * MS + WINDOW_SAMPLES


def test_going_on_discards_the_first_words_and_takes_them_again_whole() -> None:
    caller = says("I want", "I want a taxi").hear(voice(1.0) + silence(0.4) + voice(1.0) + silence(1.0))

    first, second = caller.of(Attempt)
    assert isinstance(first, Attempt)
    assert isinstance(second, Attempt)
    assert caller.of(Resumed) == [Resumed(first.number)]
    assert first.from_sample == second.from_sample
    assert [final.text for final in caller.finals] == ["I want a taxi"]


def test_a_click_in_the_silence_does_not_go_on() -> None:
    caller = says("yes please").hear(voice(1.0) + silence(0.3) + voice(0.032) + silence(0.4))

    assert caller.of(Resumed) == []
    assert len(caller.finals) == 1


@pytest.mark.parametrize("words", ["so I ordered it, and", "I would like, um,", "my number is"])
def test_words_that_hang_wait_longer(words: str) -> None:
    caller = says(words).hear(voice(1.0) + silence(1.3))
    assert caller.of(Stopped) == []

    caller.hear(silence(0.2))

    assert [final.text for final in caller.finals] == [words]


def test_digits_of_a_longer_number_wait_for_the_rest_and_the_last_ends_it() -> None:
    rules = TurnRules(dictations=(r"\d{4}",))
    words = iter(["The order number is four.", "The order number is 4712."])
    caller = Caller(rules, lambda attempt: next(words))

    caller.hear(voice(1.5) + silence(1.2) + voice(1.2) + silence(0.55))

    assert [final.text for final in caller.finals] == ["The order number is 4712."]
    assert len(caller.of(Started)) == 1


def test_slow_words_hold_the_end_until_they_can_be_judged() -> None:
    caller = Caller(RULES, lambda attempt: "yes please", delay_windows=25).hear(voice(1.0) + silence(0.9))
    assert caller.of(Stopped) == []

    caller.hear(silence(0.3))

    assert [final.text for final in caller.finals] == ["yes please"]


def test_words_that_come_too_late_end_it_all_the_same() -> None:
    caller = Caller(RULES, lambda attempt: "yes please", delay_windows=100).hear(voice(1.0) + silence(1.5))
    assert len(caller.of(Stopped)) == 1
    assert caller.finals == []

    caller.hear(silence(2.5))

    assert [final.text for final in caller.finals] == ["yes please"]


def test_a_very_long_utterance_is_cut_at_its_pause_and_goes_on_without_a_hole() -> None:
    track = voice(21.0) + [0.4] * 3 + [0.36] + voice(12.0) + silence(1.0)
    caller = says("on and on").hear(track)

    first, second = caller.of(Stopped)
    assert isinstance(first, Stopped)
    assert isinstance(second, Stopped)
    assert first.to_sample == second.from_sample == (len(voice(21.0)) + 4) * WINDOW_SAMPLES
    assert max(first.to_sample - first.from_sample, second.to_sample - second.from_sample) < LONGEST_SAMPLES
    assert [final.utterance for final in caller.finals] == [1, 2]


def test_silence_is_reported_behind_what_an_onset_may_need() -> None:
    endpointer = says("hello").hear(silence(5.0)).endpointer

    quiet_to = endpointer.quiet_to()

    behind = endpointer.heard_to - quiet_to
    assert RULES.prefix_padding_ms * MS <= behind <= RULES.prefix_padding_ms * MS + 2 * WINDOW_SAMPLES


def test_nothing_is_called_quiet_that_an_utterance_then_needs() -> None:
    caller = says("hello")
    quiets: list[int] = [0]
    kept: list[int] = [0]
    for probability in silence(3.0) + voice(1.0) + silence(1.0) + voice(1.0) + silence(3.0):
        attempts = len(caller.of(Attempt))
        caller.hear([probability])
        quiets.append(caller.endpointer.quiet_to())
        for attempt in caller.of(Attempt)[attempts:]:
            assert isinstance(attempt, Attempt)
            assert attempt.from_sample >= max(quiets[-2], *kept)
        kept.append(caller.endpointer.kept_from)

    assert quiets == sorted(quiets)
    assert quiets[-1] > 7 * 16_000


def test_between_two_turns_by_the_clients_word_silence_is_not_kept() -> None:
    caller = Caller(MANUAL, lambda attempt: "book a taxi").hear(silence(0.5) + voice(1.0) + silence(0.2))
    caller.take(caller.endpointer.finish(1, 0, caller.endpointer.heard_to))
    caller.hear(silence(20.0))
    silent = caller.endpointer.heard_to - caller.endpointer.kept_from
    begun = caller.endpointer.heard_to
    caller.hear(voice(1.0) + silence(5.0))
    caller.take(caller.endpointer.finish(2, 0, caller.endpointer.heard_to))
    kept_from = begun - LEAD_MS * MS - WINDOW_SAMPLES

    assert silent == LEAD_MS * MS + WINDOW_SAMPLES
    [_, attempt] = caller.of(Attempt)
    assert isinstance(attempt, Attempt)
    assert kept_from <= attempt.from_sample == begun - LEAD_MS * MS


def test_in_silence_little_is_kept_beside_what_another_worker_would_need() -> None:
    endpointer = says("hello").hear(silence(5.0)).endpointer

    assert endpointer.heard_to - endpointer.kept_from <= 2 * WINDOW_SAMPLES + LEAD_MS * MS
    assert endpointer.kept_from > endpointer.needed_from


def test_finish_ends_what_is_open_under_its_own_number() -> None:
    caller = says("book a taxi").hear(voice(1.0))
    caller.take(caller.endpointer.finish(1, 0, caller.endpointer.heard_to))
    caller.hear(silence(1.0))

    assert [(final.utterance, final.text) for final in caller.finals] == [(1, "book a taxi")]
    assert len(caller.of(Started)) == 1


def test_finish_waits_for_its_audio() -> None:
    caller = says("book a taxi").hear(voice(0.5))
    caller.take(caller.endpointer.finish(1, 0, 16_000))
    assert caller.of(Stopped) == []

    caller.hear(voice(0.6) + silence(0.2))

    [stopped] = [stopped for stopped in caller.of(Stopped) if isinstance(stopped, Stopped) and stopped.utterance == 1]
    assert stopped.to_sample == 16_000


def test_finish_under_another_number_ends_the_open_utterance_without_words() -> None:
    caller = says("book a taxi").hear(voice(1.0))
    caller.take(caller.endpointer.finish(7, 0, caller.endpointer.heard_to))
    caller.hear(silence(0.3) + voice(1.0) + silence(1.0))

    assert [(final.utterance, final.text) for final in caller.finals] == [
        (1, ""),
        (7, "book a taxi"),
        (8, "book a taxi"),
    ]


def test_finish_over_silence_hears_no_words_and_asks_no_recogniser() -> None:
    caller = Caller(MANUAL, lambda attempt: "hallucinated").hear(silence(2.0))
    caller.take(caller.endpointer.finish(1, 0, 32_000))

    assert caller.finals == [Heard(1, "", 0, 32_000)]


def test_push_to_talk_is_only_what_finish_bounds() -> None:
    caller = Caller(MANUAL, lambda attempt: "book a taxi").hear(silence(0.5) + voice(1.0) + silence(3.0))
    assert caller.decisions == []

    caller.take(caller.endpointer.finish(1, 0, caller.endpointer.heard_to))
    caller.hear(silence(1.0))

    assert [final.text for final in caller.finals] == ["book a taxi"]
    assert caller.finals[0].to_sample == len(silence(0.5) + voice(1.0)) * WINDOW_SAMPLES


def test_discard_forgets_the_open_utterance() -> None:
    caller = says("never mind").hear(voice(1.0))
    caller.take(caller.endpointer.discard(caller.endpointer.heard_to))
    caller.hear(silence(2.0))

    assert caller.finals == []
    assert caller.of(Dropped) == [Dropped(1)]


def test_discarded_audio_is_not_taken_into_a_later_utterance() -> None:
    caller = says("hello").hear(silence(1.0))
    caller.take(caller.endpointer.discard(caller.endpointer.heard_to))
    caller.hear(voice(1.0) + silence(1.0))

    assert [final.from_sample for final in caller.finals] == [len(silence(1.0)) * WINDOW_SAMPLES]


def test_turning_automatic_rules_off_drops_the_open_utterance_and_keeps_its_audio() -> None:
    caller = says("book a taxi").hear(voice(1.0))
    caller.take(caller.endpointer.tune(MANUAL))
    caller.hear(silence(2.0))
    caller.take(caller.endpointer.finish(2, 0, caller.endpointer.heard_to))
    caller.hear(silence(0.5))

    assert [(final.utterance, final.text) for final in caller.finals] == [(2, "book a taxi")]


def test_hysteresis_keeps_a_wavering_voice_in_one_utterance() -> None:
    wavering = [0.9, 0.9, 0.9] + [0.4, 0.22, 0.55] * 20
    caller = says("hello").hear(wavering + silence(1.0))

    [stopped] = caller.of(Stopped)
    assert isinstance(stopped, Stopped)
    assert stopped.to_sample == len(wavering) * WINDOW_SAMPLES


TRACKS = st.lists(
    st.tuples(st.sampled_from([0.02, 0.4, 0.95]), st.integers(1, 60)).map(lambda run: [run[0]] * run[1]), max_size=25
).map(lambda runs: [probability for run in runs for probability in run])


@given(track=TRACKS, delay=st.integers(0, 40), start=st.integers(0, 2**40))
def test_every_utterance_gets_exactly_one_final_in_order_and_none_overlap(
    track: list[float], delay: int, start: int
) -> None:
    caller = Caller(RULES, lambda attempt: f"words {attempt.number}", delay_windows=delay, from_sample=start)
    caller.hear(track + silence(4.0))

    numbers = [started.utterance for started in caller.of(Started) if isinstance(started, Started)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers == [final.utterance for final in caller.finals]
    edges = [edge for final in caller.finals for edge in (final.from_sample, final.to_sample)]
    assert [start, *edges] == sorted([start, *edges])


@given(track=TRACKS)
def test_the_audio_of_an_attempt_is_never_let_go_of_before_it(track: list[float]) -> None:
    endpointer, held_from = Endpointer(RULES, 0, draft_samples=8_000), 0
    for probability in track + silence(2.0):
        for decision in endpointer.hear(probability):
            if isinstance(decision, Attempt | Draft):
                assert decision.from_sample >= held_from
        held_from = max(held_from, endpointer.needed_from)
