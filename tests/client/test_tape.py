"""What a client has said can be said again from anywhere, each sample and each order once."""

import binascii
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.client.tape import BURST_SAMPLES, KEPT_SAMPLES, PER_MS, Fallen, Mark, Tape

CHUNK = 20 * PER_MS  # samples


def audio(first: int, samples: int = CHUNK) -> bytes:
    """Each sample tells its own position."""
    return b"".join((at % 30_000).to_bytes(2, "little") for at in range(first, first + samples))


def taped(chunks: int) -> Tape:
    tape = Tape()
    for number in range(chunks):
        tape.append(audio(number * CHUNK))
    return tape


def everything(tape: Tape, mark: Mark) -> tuple[list[str], Mark]:
    said = []
    text, mark = tape.read(mark)
    while text:
        said.append(text)
        text, mark = tape.read(mark)
    return said, mark


def sound(said: list[str]) -> bytes:
    events = [json.loads(text) for text in said]
    return b"".join(binascii.a2b_base64(event["audio"]) for event in events if "audio" in event)


def test_what_is_appended_goes_out_in_order() -> None:
    tape = taped(3)
    tape.order('{"type":"a"}', again=False)
    tape.append(audio(3 * CHUNK))

    said, _ = everything(tape, tape.begin())

    assert [json.loads(text)["type"] for text in said] == [
        "input_audio_buffer.append",
        "a",
        "input_audio_buffer.append",
    ]
    assert sound(said) == audio(0, 4 * CHUNK)


def test_a_long_append_goes_out_in_pieces() -> None:
    tape = Tape()
    tape.append(audio(0, 5 * BURST_SAMPLES // 2))

    said, _ = everything(tape, tape.begin())

    assert len(said) == 3
    assert sound(said) == audio(0, 5 * BURST_SAMPLES // 2)


def test_a_torn_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="odd number of bytes: 3"):
        Tape().append(b"abc")


@given(st.integers(0, 200), st.integers(0, 200))
def test_who_comes_back_hears_from_the_wanted_millisecond(sent: int, from_ms: int) -> None:
    tape = taped(10)
    everything(tape, tape.begin())
    tape.settle(min(sent, from_ms))

    said, _ = everything(tape, tape.come_back(from_ms))

    assert sound(said) == audio(from_ms * PER_MS, 10 * CHUNK - from_ms * PER_MS)


def test_a_commit_is_said_again_with_its_audio_and_an_order_of_its_own_is_not() -> None:
    tape = taped(10)
    tape.order('{"type":"commit"}', again=True)
    tape.order('{"type":"response.create"}', again=False)
    tape.append(audio(10 * CHUNK))
    everything(tape, tape.begin())

    again, _ = everything(tape, tape.come_back(0))
    behind, _ = everything(tape, tape.come_back(200))

    assert [json.loads(text)["type"] for text in again][1:] == ["commit", "input_audio_buffer.append"]
    assert sound(again) == audio(0, 11 * CHUNK)
    assert [json.loads(text)["type"] for text in behind] == ["input_audio_buffer.append"]


def test_an_order_that_nobody_was_told_waits_for_the_next_gateway() -> None:
    tape = taped(2)
    everything(tape, tape.begin())
    tape.order('{"type":"response.create"}', again=False)
    tape.append(audio(2 * CHUNK))
    tape.settle(40)

    said, _ = everything(tape, tape.come_back(40))

    assert [json.loads(text)["type"] for text in said] == ["response.create", "input_audio_buffer.append"]


def test_orders_and_what_is_behind_them_wait_while_it_is_decided_who_has_the_call() -> None:
    tape = taped(1)
    tape.hold()
    tape.append(audio(CHUNK))
    tape.order('{"type":"response.create"}', again=False)
    tape.append(audio(2 * CHUNK))

    held, mark = everything(tape, tape.begin())
    untold = tape.told
    tape.release()
    rest, _ = everything(tape, mark)

    assert sound(held) == audio(0, 2 * CHUNK)
    assert [json.loads(text)["type"] for text in rest] == ["response.create", "input_audio_buffer.append"]
    assert (untold, tape.told) == (2, 4)


def test_what_is_settled_or_old_is_given_up() -> None:
    tape = taped(10)
    everything(tape, tape.begin())

    tape.settle(100)
    assert tape.first == 100 * PER_MS
    tape.append(bytes(2 * KEPT_SAMPLES))
    tape.append(bytes(2 * CHUNK))
    assert tape.end - tape.first <= KEPT_SAMPLES + CHUNK


def test_a_connection_that_falls_too_far_behind_learns_it() -> None:
    tape = taped(1)
    mark = tape.begin()
    for _ in range(31):
        tape.append(bytes(2 * 1000 * PER_MS))

    with pytest.raises(Fallen):
        tape.read(mark)


def test_a_settled_word_for_old_audio_disturbs_no_connection_that_began_behind_it() -> None:
    tape = taped(10)
    everything(tape, tape.begin())
    mark = tape.come_back(100)

    tape.settle(100)
    said, _ = everything(tape, mark)

    assert sound(said) == audio(100 * PER_MS, 100 * PER_MS)


def test_g711_counts_by_time() -> None:
    tape = Tape()
    tape.follow("audio/pcmu")
    tape.append(bytes(range(160)) * 2)  # 40 ms at 8 kHz
    everything(tape, tape.begin())

    said, _ = everything(tape, tape.come_back(20))

    assert tape.end == 40 * PER_MS
    assert sound(said) == bytes(range(160))
