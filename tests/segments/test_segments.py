"""Segments join to the text, and leave as early as a voice can use them."""

from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.segments import FIRST_LIMIT_WORDS, LIMIT_CHARACTERS, LIMIT_WORDS, Segmenter

WORDS = st.sampled_from(["order", "4712", "is", "and", "to", "Dr.", "3.5", "yes,", "done.", "a.m.", "Why?", "\n", "so"])
TEXTS = st.one_of(st.text(max_size=600), st.lists(WORDS, max_size=120).map(" ".join))


def segments_of(*deltas: str) -> list[str]:
    segmenter = Segmenter()
    said = [segment for delta in deltas for segment in segmenter.feed(delta)]
    return said + segmenter.flush()


@given(TEXTS)
@example(" \n ")
def test_segments_join_to_the_text(text: str) -> None:
    assert text == "".join(segments_of(text))


@given(TEXTS, st.integers(1, 7))
def test_segments_are_the_same_however_the_text_is_streamed(text: str, size: int) -> None:
    deltas = [text[i : i + size] for i in range(0, len(text), size)]

    assert segments_of(text) == segments_of(*deltas)


@given(TEXTS)
def test_no_segment_is_long(text: str) -> None:
    for i, segment in enumerate(segments_of(text)):
        assert len(segment.split()) <= (LIMIT_WORDS if i else FIRST_LIMIT_WORDS)
        assert len(segment) <= LIMIT_CHARACTERS + 1


def test_a_first_segment_ends_at_punctuation() -> None:
    assert segments_of("One moment, let me check the weather in Tokyo.") == [
        "One moment, ",
        "let me check the weather in Tokyo.",
    ]


def test_a_first_segment_without_punctuation_is_cut_at_a_joint_near_the_fifth_word() -> None:
    first, *_ = segments_of("The order that you placed on Monday has left our warehouse and arrives tomorrow.")

    assert first == "The order that you placed "


def test_later_segments_are_whole_sentences() -> None:
    said = segments_of("Sure. Your order left our house on Monday, as planned. It arrives tomorrow before noon.")

    assert said == ["Sure. ", "Your order left our house on Monday, as planned. ", "It arrives tomorrow before noon."]


def test_abbreviations_decimals_and_initials_do_not_end_a_segment() -> None:
    text = "Dr. J. Smith measured 3.5 degrees."

    assert [text] == segments_of(text)


def test_an_abbreviation_at_a_sentences_end_does() -> None:
    assert segments_of("We open at 9 a.m. Come early.") == ["We open at 9 a.m. ", "Come early."]


def test_a_segment_leaves_as_soon_as_the_next_word_begins() -> None:
    segmenter = Segmenter()

    assert [segmenter.feed(delta) for delta in ("Hello there.", " ", "H")] == [[], [], ["Hello there. "]]
