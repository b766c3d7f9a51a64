"""The judge judges by words, not by how they are written."""

import numpy as np
import pytest

from support.judge import likeliest, word_error_rate, words
from trunkline.tts.engines.piper import open_piper


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


@pytest.mark.engines
@pytest.mark.parametrize("said", ["16", "18"])
def test_of_sentences_that_differ_in_a_number_the_one_that_was_said_is_likeliest(said: str) -> None:
    sentence = "The weather in Tokyo is {} degrees and light rain."
    voice = open_piper("")
    clip = np.concatenate(list(voice.synthesise(sentence.format(said), 1.0)))

    found = likeliest(clip, voice.rate_hz, [sentence.format(number) for number in ("8", "16", "18", "19")])

    assert found == sentence.format(said)
