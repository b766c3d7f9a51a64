"""The judge judges by words, not by how they are written."""

import pytest

from support.judge import word_error_rate, words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It's 19°C, 45% humid.", "its nineteen degrees celsius forty five percent humid"),
        ("Order 4712", "order four seven one two"),
        ("9 a.m. to 5:30 p.m.", "nine am to five thirty pm"),
    ],
)
def test_numbers_and_signs_are_brought_to_words(written: str, said: str) -> None:
    assert words(written) == words(said)


def test_each_wrong_missing_or_added_word_counts_once() -> None:
    assert word_error_rate("one two three four", "one too three") == 0.5
    assert word_error_rate("one two", "one two three") == 0.5
    assert word_error_rate("", "") == 0.0
