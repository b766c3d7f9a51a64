"""What counts as a card, a phone or an address, and what doesn't."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.agents.sensitive import KINDS, Kind, find_sensitive, luhn, replaced, spoken

ROOT = Path(__file__).parents[2]
ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def with_check_digit(body: str) -> str:
    return next(body + digit for digit in "0123456789" if luhn(body + digit))


def cards() -> st.SearchStrategy[str]:
    """Of an issuer: those are found in the midst of other digits, too."""
    bodies = st.sampled_from(["4", "51", "37", "6011"]).flatmap(
        lambda begin: st.text("0123456789", min_size=15 - len(begin), max_size=15 - len(begin)).map(begin.__add__)
    )
    return bodies.map(lambda body: with_check_digit(body[:14] if body.startswith("37") else body))


def found(text: str, *kinds: Kind) -> list[tuple[str, str]]:
    return [(span.kind, span.value) for span in find_sensitive(text, kinds or KINDS)]


@pytest.mark.parametrize("number", ["4111111111111111", "378282246310005", "5555555555554444", "30569309025904"])
def test_known_test_numbers_have_a_right_check_digit(number: str) -> None:
    assert luhn(number)
    assert not luhn(number[:-1] + str((int(number[-1]) + 1) % 10))


@given(st.text("0123456789", min_size=11, max_size=18))
def test_of_ten_last_digits_exactly_one_is_the_check_digit(body: str) -> None:
    assert [luhn(body + digit) for digit in "0123456789"].count(True) == 1


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "It is 4111 1111 1111 1111.",
        "4111-1111-1111-1111 12/26, code 123",
        "41 11 11 11 11 11 11 11",
        "4111, 1111, 1111, 1111",
        "number 7 4111111111111111",
        "four one one one one one one one one one one one one one one one",
        "Four, triple one, uh, one one one one, double one double one double one double one",
        "forty one eleven eleven eleven eleven eleven eleven eleven",
        "**4111** 1111 1111 1111",
        "4111\u200b1111\u200b1111\u200b1111",
        "٤١١١ ١١١١ ١١١١ ١١١١",
    ],
)
def test_a_card_is_found_in_any_grouping_and_spoken(text: str) -> None:
    assert found(text) == [("card", "4111111111111111")]


def test_zero_has_many_names() -> None:
    spoken_ = "four {} one two eight eight eight eight eight eight eight eight one eight eight one"

    assert {tuple(found(spoken_.format(zero))) for zero in ("zero", "oh", "o", "nought")} == {
        (("card", "4012888888881881"),)
    }
    assert found("five one oh five one oh five one oh five one oh five one oh oh") == [("card", "5105105105105100")]


@given(cards(), st.lists(st.integers(1, 5), min_size=16, max_size=16), st.sampled_from([" ", "-", ". ", ", "]))
def test_no_grouping_hides_a_card(card: str, lengths: list[int], between: str) -> None:
    groups: list[str] = []
    for length in lengths:
        groups.append(card[sum(map(len, groups)) :][:length])

    assert found(between.join(filter(None, groups)), "card") == [("card", card)]


@given(cards())
def test_a_card_said_digit_by_digit_is_found(card: str) -> None:
    assert found(" ".join(ONES[int(digit)] for digit in card), "card") == [("card", card)]


@given(st.text(max_size=40), cards(), st.text(max_size=40))
def test_what_is_replaced_holds_no_card_and_the_rest_is_as_it_was(left: str, card: str, right: str) -> None:
    text = f"{left} {card} {right}"
    spans = find_sensitive(text)
    written = replaced(text, spans, lambda span: "\0")

    assert card not in written
    assert written == "".join(
        "\0" if any(span.start == at for span in spans) else character
        for at, character in enumerate(text)
        if not any(span.start < at < span.end for span in spans)
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("+44 20 7946 0958", "+442079460958"),
        ("Ring me at +1 (555) 123-4567, please.", "+15551234567"),
        ("plus four nine, one seven one, two three four five six seven eight", "+491712345678"),
        ("0044 20 7946 0958", "+442079460958"),
        ("My number is 555-123-4567.", "5551234567"),
        ("(555) 123 4567", "5551234567"),
        ("1-800-555-0199", "18005550199"),
        ("030 1234567", "0301234567"),
        ("06 12 34 56 78", "0612345678"),
        ("oh two oh seven nine four six oh nine five eight", "02079460958"),
        ("my phone number is five five five one two three four five six seven", "5551234567"),
        ("Call me back on 5551234567", "5551234567"),
    ],
)
def test_a_phone_is_found(text: str, value: str) -> None:
    assert found(text) == [("phone", value)]


@pytest.mark.parametrize(
    "text",
    [
        "The order number is four seven one two.",
        "order 5551234567",
        "My order number is 555 123 4567.",
        "tracking number 00340434161094042557",
        "ticket 0123456789, invoice 2024 000 123",
        "on 2026-07-29 at 10 30",
        "29.07.2026 and 30/07/2026 12:30",
        "from 1,000,000 to 2,000,000 in 2026 and 2027",
        "One or two of 12 boxes at 9.99 each, 48000 Hz, 3.1415926535",
        "five five five one two three four five six seven",
        "call it a day at 5 or 6",
    ],
)
def test_order_numbers_dates_and_amounts_are_no_phones(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Write to Anna.Smith+shop@Example.co.uk.", "anna.smith+shop@example.co.uk"),
        ("It is anna at example dot com, thanks.", "anna@example.com"),
        ("anna@example dot com", "anna@example.com"),
        ("anna dot smith underscore 42 at my dash shop dot co dot uk", "anna.smith_42@my-shop.co.uk"),
        ("my e-mail is a n n a at gmail dot com", "anna@gmail.com"),
        ("anna four two at example.com", "anna42@example.com"),
    ],
)
def test_an_address_is_found_written_and_spoken(text: str, value: str) -> None:
    assert found(text) == [("email", value)]


@pytest.mark.parametrize(
    "text",
    [
        "Look at example dot com.",
        "You find us at example.com.",
        "We met at noon. In the evening we ate at nine.",
        "Write to support at example dot com, or info@example.com.",
        "a@b",
    ],
)
def test_web_pages_and_addresses_of_a_role_are_no_persons(text: str) -> None:
    assert found(text) == []


def test_only_the_wanted_kinds_are_found() -> None:
    text = "4111 1111 1111 1111 and anna@example.com and +44 20 7946 0958"

    assert found(text, "email") == [("email", "anna@example.com")]
    assert [kind for kind, _ in found(text)] == ["card", "email", "phone"]


def test_words_before_the_text_say_what_a_number_is() -> None:
    assert [span.kind for span in find_sensitive("5551234567", before="the caller's phone: ")] == ["phone"]
    assert find_sensitive("555 123 4567", before="order: ") == []


def test_a_token_is_nothing_to_be_found_and_parts_what_is_beside_it() -> None:
    assert found("[card_22222222] 4111 1111 card_77777777 1111 1111") == []


def test_a_token_is_said_in_words() -> None:
    text = "I charge [card_abcd2345], and write to your e-mail [email_abcd2345]. Ring phone_abcd2345?"

    assert spoken(text) == "I charge your card, and write to your e-mail that you gave me. Ring your phone number?"
    assert spoken("my_card_is nothing") == "my_card_is nothing"


def test_nothing_is_found_in_what_callers_and_the_front_desk_say() -> None:
    callers = json.loads((ROOT / "tests" / "data" / "callers" / "transcripts.json").read_text())
    lines = [one["text"] for one in callers.values()]
    lines += (ROOT / "examples" / "agents" / "frontdesk.py").read_text().splitlines()

    assert len(lines) > 100
    assert [(line, find_sensitive(line)) for line in lines if find_sensitive(line)] == []


@pytest.mark.parametrize("piece", ["1 ", "4 ", "4", "a", " ", "a@", " at a dot", "+1", "one ", "double ", "a.b", "(0"])
def test_the_time_it_takes_grows_with_the_text_and_no_faster(piece: str) -> None:
    text = piece * (40_000 // len(piece))
    began_s = time.process_time()
    find_sensitive(text)

    assert time.process_time() - began_s < 2  # a hundred times what it takes; squared it would be minutes
