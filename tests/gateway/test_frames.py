"""The WebSocket frames of RFC 6455, read however they are cut, and what breaks the protocol."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client_frames import frame
from trunkline.gateway.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    NO_CODE,
    NOT_UTF8,
    PING,
    PROTOCOL_ERROR,
    TEXT,
    TOO_LARGE,
    FrameReader,
    Violation,
    close_frame,
    closing,
    head,
)

LIMIT_BYTES = 70_000


def read(*pieces: bytes) -> list[tuple[int, bytes]]:
    reader, found = FrameReader(LIMIT_BYTES), []
    for piece in pieces:
        reader.feed(piece)
        while (data := reader.next()) is not None:
            found.append((reader.kind, bytes(data)))
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1_300, 65_535, 65_536])
def test_a_frame_of_any_length_is_read(size: int) -> None:
    payload = b"x" * size

    assert read(frame(FIN | TEXT, payload)) == [(TEXT, payload)]
    assert read(frame(FIN | BINARY, payload)) == [(BINARY, payload)]


@given(st.lists(st.sampled_from(["", "a", "ä€", "x" * 200]), max_size=5), st.lists(st.integers(1, 40), max_size=60))
def test_however_the_bytes_are_cut_the_messages_are_the_same(texts: list[str], sizes: list[int]) -> None:
    sent = b"".join(frame(FIN | TEXT, text.encode()) + frame(FIN | PING, b"p") for text in texts)
    pieces = []
    for size in sizes:
        pieces.append(sent[:size])
        sent = sent[size:]

    found = read(*pieces, sent)

    assert found == [one for text in texts for one in ((TEXT, text.encode()), (PING, b"p"))]


def test_nothing_of_what_was_read_is_kept() -> None:
    large = frame(FIN | TEXT, b"x" * 60_000)
    reader, before = FrameReader(LIMIT_BYTES), sys.getrefcount(large)
    reader.feed(large)

    assert reader.next() is not None
    assert sys.getrefcount(large) == before


def test_a_message_in_parts_is_told_whole_and_control_frames_between_them_at_once() -> None:
    euro = "€".encode()

    found = read(
        frame(TEXT, b"a" + euro[:1]),
        frame(FIN | PING, b"!"),
        frame(CONTINUATION, euro[1:]),
        frame(FIN | CONTINUATION, b""),
        frame(FIN | BINARY, b"b"),
    )

    assert found == [(PING, b"!"), (TEXT, b"a" + euro), (BINARY, b"b")]


def test_text_in_parts_is_refused_with_the_first_part_that_is_none() -> None:
    reader = FrameReader(LIMIT_BYTES)
    reader.feed(frame(TEXT, b"\xe2\x82") + frame(CONTINUATION, b"\xac") + frame(CONTINUATION, b"\xe2"))
    assert reader.next() is None
    reader.feed(frame(CONTINUATION, b"("))

    with pytest.raises(Violation) as caught:
        reader.next()
    assert caught.value.code == NOT_UTF8


def test_text_that_ends_within_a_character_is_refused() -> None:
    with pytest.raises(Violation) as caught:
        read(frame(TEXT, b"a"), frame(FIN | CONTINUATION, b"\xe2\x82"))

    assert caught.value.code == NOT_UTF8


def test_no_more_frames_are_read_than_there_are_steps() -> None:
    reader = FrameReader(LIMIT_BYTES)
    reader.steps = 2
    reader.feed(
        frame(TEXT, b"a") + frame(CONTINUATION, b"b") + frame(FIN | CONTINUATION, b"c") + frame(FIN | TEXT, b"d")
    )
    assert (reader.next(), reader.steps) == (None, 0)
    reader.steps = 1
    assert reader.next() == b"abc"
    assert reader.next() is None
    reader.steps = 1

    assert reader.next() == b"d"


def test_what_is_held_of_messages_is_told_and_nothing_once_they_are_whole() -> None:
    reader = FrameReader(LIMIT_BYTES)
    first, second = frame(TEXT, b"a" * 1_000), frame(FIN | CONTINUATION, b"b" * 50_000)
    reader.feed(first + second[:10])
    assert reader.next() is None
    assert reader.within
    reader.feed(second[10:40_000])
    assert reader.held_bytes == 41_000
    reader.feed(second[40_000:])
    assert reader.next() is not None

    assert (reader.held_bytes, reader.within) == (0, False)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x01a", PROTOCOL_ERROR),  # not masked
        (frame(FIN | 0x40 | TEXT, b"a"), PROTOCOL_ERROR),  # a reserved bit: nobody agreed on compression
        (frame(FIN | 3, b"a"), PROTOCOL_ERROR),
        (frame(FIN | 11, b"a"), PROTOCOL_ERROR),
        (frame(PING, b"a"), PROTOCOL_ERROR),  # in parts
        (frame(FIN | PING, b"a" * 126), PROTOCOL_ERROR),
        (frame(FIN | CONTINUATION, b"a"), PROTOCOL_ERROR),
        (frame(TEXT, b"a") + frame(FIN | TEXT, b"a"), PROTOCOL_ERROR),
        (frame(TEXT, b"") + frame(BINARY, b"a"), PROTOCOL_ERROR),
        (frame(FIN | TEXT, b"\xff"), NOT_UTF8),
        (frame(TEXT, b"\xe2") + frame(FIN | CONTINUATION, b"a"), NOT_UTF8),
        (frame(FIN | TEXT, b"a" * (LIMIT_BYTES + 1))[:14], TOO_LARGE),  # said by its head
        (frame(TEXT, b"a" * LIMIT_BYTES) + frame(FIN | CONTINUATION, b"a"), TOO_LARGE),
        (frame(BINARY, b"a" * LIMIT_BYTES) + frame(CONTINUATION, b"a"), TOO_LARGE),
    ],
)
def test_what_breaks_the_protocol_says_with_which_code(sent: bytes, code: int) -> None:
    with pytest.raises(Violation) as caught:
        read(sent)

    assert caught.value.code == code


def test_a_close_frame_names_a_code_or_none_and_no_strange_one() -> None:
    assert closing(bytearray()) == NO_CODE
    assert closing(bytearray(b"\x0f\xa0bye")) == 4000
    for payload, code in ((b"\x03", PROTOCOL_ERROR), (b"\x03\xed", PROTOCOL_ERROR), (b"\x03\xe8\xff", NOT_UTF8)):
        with pytest.raises(Violation) as caught:
            closing(bytearray(payload))
        assert caught.value.code == code


def test_a_servers_frames_carry_their_length_and_a_reason_that_fits() -> None:
    assert [len(head(TEXT, size)) for size in (125, 126, 65_535, 65_536)] == [2, 4, 4, 10]
    assert close_frame(1000, "") == b"\x88\x02\x03\xe8"
    frame_ = close_frame(1011, "€" * 100)
    assert (frame_[0] & 0x0F, frame_[1], frame_[4:].decode()) == (CLOSE, 125, "€" * 41)
