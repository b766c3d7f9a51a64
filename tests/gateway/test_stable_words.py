"""Words that may still change, told to a client that can only append."""

from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.dialects.realtime.stable_words import StableWords


def told(*heard: str, transcript: str) -> list[str]:
    words = StableWords()
    return [*(words.heard(text) for text in heard), words.ended(transcript)]


def test_what_two_hearings_agree_on_is_told_and_the_rest_with_the_transcript() -> None:
    heard = "Where", "Where is my", "Where is my order"

    assert told(*heard, transcript="Where is my order now?") == ["", "Where", " is my", " order now?"]


def test_a_word_is_not_told_before_it_is_whole() -> None:
    assert told("book a tax", "book a taxi", transcript="book a taxi") == ["", "book a", " taxi"]


def test_the_full_stop_of_a_moment_is_not_told() -> None:
    assert told("I want.", "I want to.", transcript="I want to go.") == ["", "I want", " to go."]


def test_nothing_more_is_told_where_the_transcript_begins_otherwise() -> None:
    assert told("four seven", "four seven one", transcript="4712") == ["", "four seven", ""]


def test_words_that_are_heard_once_come_with_the_transcript() -> None:
    assert told("yes please", transcript="Yes, please.") == ["", "Yes, please."]
    assert told(transcript="Yes.") == ["Yes."]


TEXTS = st.lists(st.sampled_from(["a", "ab", "a.", "b", "b,"]), max_size=6).map(" ".join)


@given(st.lists(TEXTS, max_size=6), TEXTS)
def test_whatever_is_heard_what_was_told_is_how_the_transcript_begins_or_stays_as_it_was(
    heard: list[str], transcript: str
) -> None:
    *early, last = told(*heard, transcript=transcript)

    assert last == "" or "".join([*early, last]) == transcript
