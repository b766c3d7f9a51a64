"""Cutting text too long for one run of an engine."""

from hypothesis import given
from hypothesis import strategies as st

from trunkline.tts.pieces import pieces


def test_short_text_is_one_piece() -> None:
    assert pieces(" Your order has shipped. ", 40) == ["Your order has shipped."]


def test_a_sentence_end_is_a_better_cut_than_a_comma_and_a_comma_than_a_space() -> None:
    assert pieces("One two. Three, four five six", 20) == ["One two.", "Three, four five six"]
    assert pieces("One two, three four five six", 20) == ["One two,", "three four five six"]
    assert pieces("One two three four five six", 20) == ["One two three four", "five six"]


def test_a_word_longer_than_a_piece_is_cut_inside() -> None:
    assert pieces("abcdefgh", 3) == ["abc", "def", "gh"]


@given(st.text(alphabet="ab .,!\n", max_size=300), st.integers(1, 50))
def test_pieces_keep_every_sign_and_the_limit(text: str, limit_chars: int) -> None:
    found = pieces(text, limit_chars)

    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(0 < len(piece) <= limit_chars for piece in found)
