"""Bytes of every release decode for ever. golden.txt is never regenerated, only added to."""

from pathlib import Path

import msgspec
import pytest

from support.wire_samples import BEAT, EVENTS, MESSAGES, PROMPT, encodings, enveloped
from trunkline.proto import audio, generation, record
from trunkline.proto.envelope import TAGS, decode
from trunkline.proto.errors import Undecodable, UnknownTag
from trunkline.proto.placement import Beat

GOLDEN = [line.rsplit(" ", 1) for line in (Path(__file__).parent / "golden.txt").read_text().splitlines()]


def test_what_this_release_writes_is_in_the_golden_file() -> None:
    kept = {(name, wire) for name, wire in GOLDEN}

    missing = [f"{name} {data.hex()}" for name, data in encodings().items() if (name, data.hex()) not in kept]

    assert missing == []


def test_every_message_and_event_has_a_sample() -> None:
    assert {message.__struct_config__.tag for message in MESSAGES} == TAGS
    assert {type(event) for event in EVENTS} == set(record.Event.__args__)


@pytest.mark.parametrize(("name", "wire"), GOLDEN, ids=[name for name, _ in GOLDEN])
def test_golden_bytes_decode_to_the_sample(name: str, wire: str) -> None:
    kind, type_name = name.split(" ")
    data = bytes.fromhex(wire)

    if kind == "message":
        assert decode(data) in [enveloped(m) for m in MESSAGES if type(m).__name__ == type_name]
    elif kind == "event":
        (event,) = record.decode_entry(data).events
        assert event in [e for e in EVENTS if type(e).__name__ == type_name]
    elif kind == "audio":
        assert audio.decode_batch(data).chunks[0].pcm == b"\x01\x00\xff\x7f"
    elif kind == "beat":
        silent = msgspec.structs.replace(BEAT, wire=0)
        before = msgspec.structs.replace(silent, node="", slow_shards=())
        assert msgspec.msgpack.decode(data, type=Beat) in (BEAT, silent, before)
    elif kind == "prompt":
        assert generation.decode_prompt(data) == PROMPT
    elif kind == "claim":
        assert (record.decode_claim(data).epoch, record.decode_claim(data).void) == (3, False)
    else:
        assert record.decode_summary(data).turns == 3


def test_index_lines_of_an_earlier_release_have_no_approvals() -> None:
    lines = [record.decode_summary(bytes.fromhex(wire)) for name, wire in GOLDEN if name == "index CallSummary"]

    assert [len(line.approvals) for line in lines] == [0, 0, 1]


def test_a_field_appended_by_a_later_release_is_skipped() -> None:
    body = msgspec.msgpack.decode(encodings()["message AudioMissing"])
    body[-1].append("a field of tomorrow")
    body.append("another")

    assert decode(msgspec.msgpack.encode(body)) == enveloped(
        next(m for m in MESSAGES if type(m).__name__ == "AudioMissing")
    )


def test_an_unknown_tag_tells_whose_it_was() -> None:
    body = msgspec.msgpack.decode(encodings()["message Silent"])
    body[-1] = ["tag_of_tomorrow", 1]

    with pytest.raises(UnknownTag) as unknown:
        decode(msgspec.msgpack.encode(body))

    caught = unknown.value
    assert (caught.tag, caught.call, caught.seq, caught.ack) == ("tag_of_tomorrow", "rtc_03_abc", 9, 4)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\x00", b"\x90", msgspec.msgpack.encode(["c", "s", 0]), b"\x93\x01\x02\x03"]
)
def test_garbage_is_undecodable_and_no_other_error(data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(data)
    with pytest.raises(Undecodable):
        record.decode_entry(data)


def test_half_a_sample_of_audio_is_refused() -> None:
    torn = audio.encode_batch(audio.AudioBatch("tts.x", [audio.AudioChunk(1, 1, 1, 0, b"\x01")]))

    with pytest.raises(ValueError, match="odd number of bytes"):
        audio.decode_batch(torn)
