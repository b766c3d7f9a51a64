"""Whether words look finished."""

import re

import pytest

from trunkline.stt.words import looks_unfinished

ORDER = (r"\d{4}",)
ORDER_OR_POLICY = (r"\d{4}", r"[A-Z]{2}\d{6}")


@pytest.mark.parametrize(
    "text",
    [
        "I want to go to",
        "so I ordered, um",
        "It is red,",
        "because the",
        "My name is.",
        "I'd like to know where my order is. The order number is.",
        "well ...",
    ],
)
def test_words_that_hang_look_unfinished(text: str) -> None:
    assert looks_unfinished(text)


@pytest.mark.parametrize(
    "text",
    ["", "Yes, please go ahead.", "What is it for?", "I want to know where my order is.", "Yes, I am.", "4", "Wait!"],
)
def test_whole_sentences_look_finished(text: str) -> None:
    assert not looks_unfinished(text)


@pytest.mark.parametrize(
    "text",
    ["The order number is four.", "It's 4 7", "four, seven, one", "4-7-1.", "four double seven", "forty seven one"],
)
def test_the_first_digits_of_a_dictation_look_unfinished(text: str) -> None:
    assert looks_unfinished(text, ORDER)


@pytest.mark.parametrize(
    "text",
    ["The order number is 4712.", "four seven one two", "4, 7, 1, 2", "47 twelve", "oh double seven one", "47-12."],
)
def test_a_whole_dictation_looks_finished(text: str) -> None:
    assert not looks_unfinished(text, ORDER)


@pytest.mark.parametrize("text", ["AB", "A B one two", "AB 12345", "A B C"])
def test_letters_are_dictated_too(text: str) -> None:
    assert looks_unfinished(text, ORDER_OR_POLICY)


@pytest.mark.parametrize("text", ["AB 123456", "I", "please", "book a taxi"])
def test_plain_words_are_no_dictation(text: str) -> None:
    assert not looks_unfinished(text, ORDER_OR_POLICY)


def test_an_invalid_dictation_is_as_good_as_none() -> None:
    with pytest.raises(re.error):
        re.compile("[")

    assert not looks_unfinished("It is 4", ("[",))
