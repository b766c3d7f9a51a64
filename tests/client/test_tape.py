"""What a client has said can be said again from anywhere, each sample and each order once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.client.tape import BURST, KEPT, PER_MS, Fallen, Format, Mark, Tape

SAMPLES_PER_MS = 24  # of the default format
CHUNK = 20 * SAMPLES_PER_MS


def audio(first: int, samples: int = CHUNK) -> bytes:
    """Each sample tells its own position."""
    return b"".join((at % 30_000).to_bytes(2, "little") for at in range(first, first + samples))


def taped(chunks: int) -> Tape:
    tape = Tape()
    for number in range(chunks):
        tape.append(audio(number * CHUNK))
    return tape


def everything(tape: Tape, mark: Mark) -> tuple[list[str | bytes], Mark]:
    said = []
    text, mark = tape.read(mark)
    while text:
        said.append(text)
        text, mark = tape.read(mark)
    return said, mark


def sound(said: list[str | bytes]) -> bytes:
    return b"".join(one for one in said if isinstance(one, bytes))


def kinds(said: list[str | bytes]) -> list[str]:
    return ["audio" if isinstance(one, bytes) else json.loads(one)["type"] for one in said]


def test_what_is_appended_goes_out_in_order() -> None:
    tape = taped(3)
    tape.order('{"type":"a"}', again=False)
    tape.append(audio(3 * CHUNK))

    said, _ = everything(tape, tape.begin())

    assert kinds(said) == [
        "audio",
        "a",
        "audio",
    ]
    assert sound(said) == audio(0, 4 * CHUNK)


def test_a_long_append_goes_out_in_pieces() -> None:
    tape = Tape()
    long = 5 * BURST // PER_MS * SAMPLES_PER_MS // 2
    tape.append(audio(0, long))

    said, _ = everything(tape, tape.begin())

    assert len(said) == 3
    assert sound(said) == audio(0, long)


def test_a_torn_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="odd number of bytes: 3"):
        Tape().append(b"abc")


@given(st.integers(0, 200), st.integers(0, 200))
def test_who_comes_back_hears_from_the_wanted_millisecond(sent: int, from_ms: int) -> None:
    tape = taped(10)
    everything(tape, tape.begin())
    tape.settle(min(sent, from_ms))

    said, _ = everything(tape, tape.come_back(from_ms))

    assert sound(said) == audio(from_ms * SAMPLES_PER_MS, 10 * CHUNK - from_ms * SAMPLES_PER_MS)


def test_a_commit_is_said_again_with_its_audio_and_an_order_of_its_own_is_not() -> None:
    tape = taped(10)
    tape.order('{"type":"commit"}', again=True)
    tape.order('{"type":"response.create"}', again=False)
    tape.append(audio(10 * CHUNK))
    everything(tape, tape.begin())

    again, _ = everything(tape, tape.come_back(0))
    behind, _ = everything(tape, tape.come_back(200))

    assert kinds(again)[1:] == ["commit", "audio"]
    assert sound(again) == audio(0, 11 * CHUNK)
    assert kinds(behind) == ["audio"]


def test_an_order_that_nobody_was_told_waits_for_the_next_gateway() -> None:
    tape = taped(2)
    everything(tape, tape.begin())
    tape.order('{"type":"response.create"}', again=False)
    tape.append(audio(2 * CHUNK))
    tape.settle(40)

    said, _ = everything(tape, tape.come_back(40))

    assert kinds(said) == ["response.create", "audio"]


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
    assert kinds(rest) == ["response.create", "audio"]
    assert (untold, tape.told) == (2, 4)


def test_what_is_settled_or_old_is_given_up() -> None:
    tape = taped(10)
    everything(tape, tape.begin())

    tape.settle(100)
    assert tape.first == 100 * PER_MS
    tape.append(bytes(KEPT))
    tape.append(bytes(2 * CHUNK))
    assert tape.end - tape.first <= KEPT + 2 * CHUNK


def test_a_connection_that_falls_too_far_behind_learns_it() -> None:
    tape = taped(1)
    mark = tape.begin()
    for _ in range(31):
        tape.append(bytes(1000 * PER_MS))

    with pytest.raises(Fallen):
        tape.read(mark)


def test_a_settled_word_for_old_audio_disturbs_no_connection_that_began_behind_it() -> None:
    tape = taped(10)
    everything(tape, tape.begin())
    mark = tape.come_back(100)

    tape.settle(100)
    said, _ = everything(tape, mark)

    assert sound(said) == audio(100 * SAMPLES_PER_MS, 100 * SAMPLES_PER_MS)


def test_g711_counts_by_time() -> None:
    tape = Tape()
    tape.follow(Format("audio/pcmu"))
    tape.append(bytes(range(160)) * 2)  # 40 ms at 8 kHz
    everything(tape, tape.begin())

    said, _ = everything(tape, tape.come_back(20))

    assert tape.end == 40 * PER_MS
    assert sound(said) == bytes(range(160))


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=8), st.integers(0, 500))
def test_whatever_is_appended_at_16_khz_can_be_said_again_from_any_millisecond(sizes: list[int], from_ms: int) -> None:
    tape = Tape()
    tape.append(audio(0, 7))  # before the format was chosen, so that nothing is where it would be without
    tape.follow(Format(rate_hz=16_000))
    at = 0
    for size in sizes:
        tape.append(audio(at, size))
        at += size
    begin = max(0, (from_ms * PER_MS - 14) // 3)

    whole, _ = everything(tape, tape.begin())
    said, _ = everything(tape, tape.come_back(from_ms))

    assert sound(whole) == audio(0, 7) + audio(0, at)
    assert tape.end == 14 + 3 * at
    if from_ms:
        assert sound(said) == audio(begin, max(0, at - begin))


def test_what_is_in_an_older_format_is_offered_to_no_gateway_that_was_told_of_the_new_one() -> None:
    tape = taped(10)
    everything(tape, tape.begin())
    tape.order('{"type":"session.update"}', again=False)
    tape.follow(Format("audio/pcmu"))
    tape.append(bytes(160))

    untold = tape.first
    everything(tape, tape.begin())
    told = tape.first
    said, _ = everything(tape, tape.come_back(told // PER_MS))

    assert (untold, told) == (0, 200 * PER_MS)
    assert said == [bytes(160)]
