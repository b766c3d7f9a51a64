"""The built-in guardrails: what they find, what they let pass, and what they refuse when the file loads."""

import random
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.agents import CallContext, Check, Guardrail, Verdict
from trunkline.agents.guardrail import On
from trunkline.agents.policies import banned_patterns, banned_words, length_limit, pii, topics
from trunkline.agents.policies.patterns import LIMIT_CHARACTERS, TooLong
from trunkline.agents.policies.phrases import folded
from trunkline.agents.sensitive import find_sensitive
from trunkline.proto.errors import BadInput

CALL = CallContext("rtc_00_x", "desk")


def verdict(guardrail: Guardrail, text: str, *, on: On = "output", before: str = "") -> Verdict:
    given_ = guardrail.judge(Check(on, text, CALL, before=before))
    assert given_ is None or isinstance(given_, Verdict)
    return given_ or Verdict("allow")


def passes(guardrail: Guardrail, segments: list[str]) -> str:
    """What of a message is said, segment by segment, until one is blocked."""
    before = ""
    for segment in segments:
        said = verdict(guardrail, segment, before=before)
        if said.action == "block":
            break
        before += said.text if said.action == "rewrite" else segment
    return before


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({0, len(text), *(place % len(text) for place in places)})
    return [text[start:end] for start, end in pairwise(ends)]


# words


@pytest.mark.parametrize(
    "text", ["Go to hell!", "HELL", "the-hell-with", "Héll, no", "h\u00adell", "well… (hell)", "“Hell’”"]
)
def test_a_banned_word_is_found_whatever_its_case_accents_and_punctuation(text: str) -> None:
    assert verdict(banned_words(["hell"]), text).action == "block"


@pytest.mark.parametrize("text", ["Hello, shell!", "he ll", "", "…"])
def test_a_part_of_a_word_is_no_banned_word(text: str) -> None:
    assert verdict(banned_words(["hell"]), text) == Verdict("allow")


def test_a_phrase_is_found_over_punctuation_and_line_ends() -> None:
    guard = banned_words(["Café Bar", "don't know"])

    assert verdict(guard, "the cafe-\nbar").action == "block"
    assert verdict(guard, "I dont know").action == "block"
    assert verdict(guard, "the cafe and the bar") == Verdict("allow")


def test_a_block_says_the_reply_and_names_the_word_for_the_record() -> None:
    said = verdict(banned_words(["lawsuit"], reply="Let me get a colleague."), "A LAWSUIT!")

    assert (said.text, said.reason) == ("Let me get a colleague.", "'lawsuit' is banned")


def test_banned_words_are_written_over_and_the_rest_stays() -> None:
    guard = banned_words(["damn", "bloody hell"], rewrite_with="[…]")

    assert verdict(guard, "Damn,  it is: bloody  hell!").text == "[…],  it is: […]!"


def test_what_writing_over_brings_together_is_written_over_too() -> None:
    guard = banned_words(["foo bar", "x"], rewrite_with="")

    assert verdict(guard, "foo x bar baz").text == " baz"


def test_a_phrase_that_straddles_segments_is_found_in_the_second() -> None:
    assert verdict(banned_words(["class action"]), " action, maybe.", before="It is a class").action == "block"
    assert verdict(banned_words(["class action"], rewrite_with="…"), " action.", before="A class").text == "…."


def test_what_was_said_before_is_not_judged_again() -> None:
    assert verdict(banned_words(["hell"]), " is done.", before="hell") == Verdict("allow")


def test_the_rest_of_a_word_of_the_segment_before_is_no_word() -> None:
    assert verdict(banned_words(["ass"]), "ass of wine", before="A gl") == Verdict("allow")
    assert verdict(banned_words(["ass"]), "ass of wine", before="x" * 9000 + " gl") == Verdict("allow")


@given(st.lists(st.integers(0, 10_000), max_size=12), st.sampled_from([None, "", "…", "beep"]))
def test_no_segmentation_lets_a_banned_phrase_pass_whole(places: list[int], rewrite_with: str | None) -> None:
    text = "Well, that is a bloody, silly idea; a BLOODY silly  idea, so silly."
    guard = banned_words(["bloody silly idea"], rewrite_with=rewrite_with)

    assert "bloody silly idea" not in folded(passes(guard, cut(text, places)))


@given(st.text(), st.integers(0, 100))
def test_a_text_without_a_banned_word_passes_as_it_is(text: str, place: int) -> None:
    guard = banned_words(["qqzzqqzz"], rewrite_with="…")

    assert passes(guard, cut(text, [place]) if text else []) == text


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: banned_words("hell"), "words"),
        (lambda: banned_words([]), "words"),
        (lambda: banned_words(["…"]), "words"),
        (lambda: banned_words(["a"], on="outputs"), "on"),  # type: ignore[arg-type]  # that is the point
        (lambda: banned_words(["a"], reply=" "), "reply"),
        (lambda: banned_words(["a"], rewrite_with="not A!"), "rewrite_with"),
        (lambda: banned_words(["a"], rewrite_with="", on="tool_result"), "rewrite_with"),
        (lambda: banned_patterns(["("]), "patterns"),
        (lambda: banned_patterns(["a*"]), "patterns"),
        (lambda: banned_patterns("a"), "patterns"),
        (lambda: banned_patterns(["a"], timeout_s=0), "timeout_s"),
        (lambda: topics({}), "words"),
        (lambda: topics({"a": []}), "a"),
        (lambda: topics({"a": ["x"]}, allowed=["b"]), "allowed"),
        (lambda: topics({"a": ["x"]}, allowed=["a"]), "allowed"),
        (lambda: topics({"a": ["x"]}, threshold=0), "threshold"),
        (lambda: length_limit(0), "characters"),
        (lambda: length_limit(9, shorten=True, on="tool_arguments"), "shorten"),
        (lambda: pii(["iban"]), "kinds"),  # type: ignore[list-item]  # that is the point
        (lambda: pii([]), "kinds"),
        (lambda: pii(on=()), "on"),
    ],
)
def test_what_cannot_be_used_is_refused_when_the_file_loads(make: Callable[[], Guardrail], field: str) -> None:
    with pytest.raises(BadInput, match=rf": {field}:"):
        make()


# patterns


def test_a_pattern_blocks_or_is_written_over() -> None:
    assert verdict(banned_patterns([r"\bID-\d{4}\b"]), "It is ID-1234.").action == "block"
    guard = banned_patterns([r"(?i)id-\d{4}", r"secret\w*"], rewrite_with="…")

    assert verdict(guard, "It is id-1234, a secretive ID-5678.").text == "It is …, a … …."
    assert verdict(guard, "Nothing.") == Verdict("allow")


def test_a_match_may_begin_in_what_passed_before() -> None:
    assert (
        verdict(banned_patterns([r"no\s+refunds"], rewrite_with="…"), " refunds.", before="There are no").text == "…."
    )


def test_a_pattern_that_takes_for_ever_is_given_up_in_time() -> None:
    guard = banned_patterns([r"(.*a){25}$"], timeout_s=0.05)

    with pytest.raises(TimeoutError):
        verdict(guard, "a" * 1000 + "!")


def test_a_text_that_is_too_long_to_be_searched_is_not_let_pass() -> None:
    with pytest.raises(TooLong):
        verdict(banned_patterns(["b"]), "a" * (LIMIT_CHARACTERS + 1))


# topics


def test_a_topic_is_told_by_its_words() -> None:
    guard = topics({"politics": ["election", "prime minister"], "sport": ["football"]}, reply="No politics.")

    assert verdict(guard, "Who wins the Election?", on="input").text == "No politics."
    assert verdict(guard, "The prime-minister", on="input").reason == "it is about politics"
    assert verdict(guard, "Where is my order?", on="input") == Verdict("allow")


def test_a_topic_may_need_several_different_words() -> None:
    guard = topics({"politics": ["election", "vote", "party"]}, threshold=2)

    assert verdict(guard, "a party, a party, a party", on="input") == Verdict("allow")
    assert verdict(guard, "the party needs your vote", on="input").action == "block"


def test_a_text_with_as_much_of_an_allowed_topic_passes() -> None:
    guard = topics({"sport": ["football", "match"], "orders": ["order", "parcel"]}, allowed=["orders"])

    assert verdict(guard, "My order of a football", on="input") == Verdict("allow")
    assert verdict(guard, "The football match and my order", on="input").action == "block"


# length


def test_all_of_a_message_counts_not_each_segment() -> None:
    guard = length_limit(20)

    assert verdict(guard, "Ten or so.", before="Ten or so.") == Verdict("allow")
    assert verdict(guard, "And more.", before="Twelve or so.").action == "block"


@pytest.mark.parametrize(
    ("text", "before", "rest"),
    [
        ("One. Two three four five six.", "", "One."),
        ("One two three four five six seven", "", "One two three four"),
        (" Four five six seven eight.", "One two three.", ""),
        (" four five six. Seven eight.", "One two", " four five"),
        ("x" * 40, "", ""),
    ],
)
def test_a_text_is_shortened_at_a_sentence_else_at_a_word(text: str, before: str, rest: str) -> None:
    assert verdict(length_limit(20, shorten=True), text, before=before) == Verdict(
        "rewrite", rest, reason=f"it has {len(before + text)} characters, more than 20"
    )


@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_what_is_shortened_fits_and_is_a_beginning(before: str, text: str) -> None:
    said = verdict(length_limit(40, shorten=True), text, before=before)

    if said.action == "rewrite":
        assert text.startswith(said.text)
        assert not said.text or len(before + said.text) <= 40
    else:
        assert len(before + text) <= 40


# pii


def test_a_value_is_put_into_words_before_it_is_said() -> None:
    text = "I have 4111 1111 1111 1111, 555-123-4567 and anna@example.com."

    assert verdict(pii(), text).text == "I have your card ending in 1 1 1 1, your phone number and your e-mail address."
    assert verdict(pii(["email"]), "It is 4111 1111 1111 1111.") == Verdict("allow")


def test_a_token_that_the_model_says_is_put_into_words() -> None:
    said = verdict(pii(), "I will charge your card [card_abcd2345] and ring [phone_abcd2345].")

    assert said.text == "I will charge your card that you gave me and ring your phone number."


def test_a_reason_for_the_record_holds_nothing_of_the_value() -> None:
    assert not re.search(r"\d", verdict(pii(), "It is 4111 1111 1111 1111.").reason)


def test_the_input_is_left_to_the_tokens() -> None:
    assert pii().sensitive == ("card", "phone", "email")
    assert verdict(pii(), "It is 4111 1111 1111 1111.", on="input") == Verdict("allow")


@given(st.lists(st.integers(0, 10_000), max_size=10), st.booleans())
def test_no_segmentation_lets_a_card_pass_whole(places: list[int], by_word: bool) -> None:
    text = "It is 4111 1111-1111 1111, or five one oh five one oh five one oh five one oh five one oh oh, yes."
    if by_word:  # as answers are cut
        ends = [match.end() for match in re.finditer(r"\s", text)]
        places = [ends[place % len(ends)] for place in places]
    said = passes(pii(), cut(text, places))

    assert [span.kind for span in find_sensitive(said) if span.kind == "card"] == []


def test_masking_ends_whatever_the_digits() -> None:
    numbers = random.Random(7)
    for _ in range(200):
        text = " ".join(str(numbers.randrange(10 ** numbers.randrange(1, 9))) for _ in range(numbers.randrange(1, 30)))
        said = verdict(pii(), text)

        assert said.action == "block" or find_sensitive(said.text if said.action == "rewrite" else text) == []
