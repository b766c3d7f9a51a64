"""The forms of a transcript: numbers, times and marks of each."""

from trunkline.gateway.apis import transcript
from trunkline.gateway.apis.transcript import Said

SAID = [Said("One & two.", 0.0, 1.2345), Said("<Three>", 3_723.5, 3_724.0)]


def test_srt_counts_from_one_and_has_a_comma_before_the_milliseconds() -> None:
    assert transcript.srt(SAID) == (
        "1\n00:00:00,000 --> 00:00:01,234\nOne & two.\n\n2\n01:02:03,500 --> 01:02:04,000\n<Three>\n\n"
    )


def test_vtt_has_a_header_and_hides_what_would_be_a_mark() -> None:
    assert transcript.vtt(SAID) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.234\nOne &amp; two.\n\n01:02:03.500 --> 01:02:04.000\n&lt;Three&gt;\n\n"
    )
    assert transcript.vtt([]) == "WEBVTT\n\n"


def test_verbose_has_every_field_of_a_segment_and_says_how_words_compress() -> None:
    made = transcript.verbose([Said("no " * 40, 1.0, 2.0)], 2.5, "en")

    assert made.segments is not None
    [segment] = made.segments
    assert (segment.id, segment.seek, segment.start, segment.end) == (0, 100, 1.0, 2.0)
    assert segment.compression_ratio > 2.4
    assert (made.duration, made.usage.seconds, made.language) == (2.5, 2.5, "en")


def test_texts_are_joined_by_spaces() -> None:
    assert transcript.plain(SAID) == "One & two. <Three>\n"
    assert transcript.brief([], 3.0).text == ""
