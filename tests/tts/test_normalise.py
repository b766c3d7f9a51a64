"""What is read aloud for what is written."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.tts.normalise import _rewritten, speech_text

LONGEST_S = 0.5  # for the longest segment, on a busy machine
READINGS = {
    "Order 4712 has shipped.": "Order four seven one two has shipped.",
    "Your order number is 4700.": "Your order number is four seven zero zero.",
    "Order #4712": "Order number four seven one two",
    "Your code is 0042.": "Your code is zero zero four two.",
    "AB-4712 is ready": "ay B four seven one two is ready",
    "In 2026 we sold 1500 cars": "In 2026 we sold 1500 cars",
    "It costs 1250 euros.": "It costs 1250 euros.",
    "We have 1,250 of them and 3.14159.": "We have 1,250 of them and 3.14159.",
    "COVID-19 and B2B on the 3rd": "COVID-19 and B2B on the 3rd",
    "Call 555-0104.": "Call five five five, zero one zero four.",
    "+1 555 010 4477": "plus one, five five five, zero one zero, four four seven seven",
    "It is 19°C in Tokyo.": "It is 19 degrees Celsius in Tokyo.",
    "-3 °F, then 1°": "minus 3 degrees Fahrenheit, then 1 degree",
    "45% humid": "45 percent humid",
    "from 09:00 to 17:30": "from 9 AM to 5 30 PM",
    "at 5:05 p.m. or 5:30 pm.": "at 5 oh 5 PM or 5 30 PM.",
    "at 10:15, 12:00 or 00:30": "at 10 15, 12 o'clock or 12 30 AM",
    "25:00 and 7:5": "25:00 and 7:5",
    "on 2026-11-22": "on November 22, 2026",
    "$12.50, £1.01 and ¥300": "12 dollars and 50 cents, 1 pound and 1 penny and 300 yen",
    "1,200 € or $3 million": "1,200 euros or 3 million dollars",
    "90 km/h for 5 km": "90 kilometers per hour for 5 kilometers",
    "Write to help.desk@example.com.": "Write to help dot desk at example dot com.",
    "See https://www.example.com/help/.": "See example dot com slash help.",
    "One moment, please.The weather is fine.": "One moment, please. The weather is fine.",
    "By e.g.Tom and Node.js": "By e.g.Tom and Node.js",
    "10-12 people & 2 + 2": "10 to 12 people and 2 plus 2",
    "**Bold**, _it_ and `code` [here](http://x.y)": "Bold, it and code here",
    "# Head\n- one\n- two": "Head. one. two",
    "It’s “fine” — really…": "It's fine, really...",
    "Great 😀!": "Great!",
    "[[hɛloʊ]]": "hɛloʊ",
}


@pytest.mark.parametrize(("written", "read"), READINGS.items(), ids=list(READINGS))
def test_what_is_written_is_read_as_people_say_it(written: str, read: str) -> None:
    assert read == speech_text(written)


@given(
    st.text(alphabet="abzAIZww''. ,!?;:-1", min_size=1, max_size=60).filter(lambda text: any(map(str.isalnum, text)))
)
def test_simple_words_are_read_as_the_rules_would_have_it(text: str) -> None:
    assert speech_text(text) == _rewritten(text)


@pytest.mark.parametrize("text", ["", " ", "...", "—", "?!", "😀", "***", "\x00\x1b"])
def test_text_without_a_word_is_nothing_to_read(text: str) -> None:
    assert speech_text(text) == ""


def test_markup_that_hides_every_word_still_gives_them() -> None:
    assert speech_text("<b>") == "b"


@given(st.text(max_size=200))
def test_text_with_a_letter_or_digit_is_never_silent(text: str) -> None:
    spoken = speech_text(text)

    assert any(sign.isalnum() for sign in spoken) or not any(sign.isalnum() for sign in text)


@given(st.text(alphabet="0123456789 -.,:°%$€#@/_*[]()<>|\nAaPpMmCF", max_size=60))
def test_signs_and_digits_in_any_order_keep_a_digit_to_read(text: str) -> None:
    spoken = speech_text(text)

    assert "\n" not in spoken
    assert any(sign.isalnum() for sign in spoken) == any(sign.isalnum() for sign in text)


@pytest.mark.parametrize("text", ["1" * 4000, "a." * 2000, "[" * 4000, "1-" * 2000, "<b " * 1300, "order " * 700])
def test_a_long_text_of_one_kind_takes_no_long_time(text: str) -> None:
    begun_s = time.perf_counter()
    speech_text(text)

    assert time.perf_counter() - begun_s < LONGEST_S
