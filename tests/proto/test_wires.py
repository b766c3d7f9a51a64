"""Mixed versions: readers of the last two releases meet what this one writes, and this one reads what they wrote.

tests/proto/wires/ holds the wire of each as it was (support.wires): written once, never changed. Where one of these
tests fails, it is the change to the vocabulary that is wrong: see "Wire versions" in docs/protocol.md.
"""

from functools import cache

import msgspec
import pytest

from support.wire_samples import EVENTS, MESSAGES, encodings, enveloped
from support.wires import WIRES, Described, Reader, Spelling, described, grown, written
from trunkline.proto import WIRE, audio, envelope, generation, record
from trunkline.proto.errors import Undecodable, UnknownTag
from trunkline.proto.placement import Beat

BEFORE = (WIRE - 2, WIRE - 1)
ROOT = {"message": "Envelope", "event": "RecordEntry", "audio": "AudioBatch", "index": "CallSummary", "claim": "Claim"}
READ = {
    "Envelope": envelope.decode,
    "RecordEntry": record.decode_entry,
    "AudioBatch": audio.decode_batch,
    "CallSummary": record.decode_summary,
    "Claim": record.decode_claim,
    "Beat": msgspec.msgpack.Decoder(Beat).decode,
    "Prompt": generation.decode_prompt,
}


@cache
def reader(number: int) -> Reader:
    return Reader(written(number))


@cache
def today() -> list[tuple[str, str, bytes]]:
    """(what it is, how it begins, bytes as this release writes them) of every sample."""
    samples = [(type(one).__name__, "Envelope", envelope.encode(enveloped(one))) for one in MESSAGES]
    for event in EVENTS:
        entry = record.RecordEntry(record.RECORD_VERSION, 3, 17, "entry_a", [event])
        samples.append((type(event).__name__, "RecordEntry", record.encode_entry(entry)))
    for name, data in encodings().items():
        kind, type_name = name.split()
        if kind not in ("message", "event"):
            samples.append((type_name, ROOT.get(kind, type_name), data))
    return samples


def unread(number: int) -> dict[str, str]:
    """Why that reader doesn't read it, by what it is. A message that it doesn't know is to be skipped: left out."""
    troubles: dict[str, str] = {}
    for name, root, data in today():
        try:
            if differences := list(grown(reader(number).decode(root, data), READ[root](data))):
                troubles[name] = differences[0]
        except UnknownTag:
            if name in written(number):
                troubles[name] = "is taken for unknown"
        except Undecodable as error:
            troubles[name] = error.reason
    return troubles


@pytest.mark.parametrize("number", BEFORE)
def test_a_reader_of_an_earlier_release_survives_what_this_one_writes(number: int) -> None:
    assert unread(number) == {}


@pytest.mark.parametrize("number", BEFORE)
def test_an_earlier_reader_can_acknowledge_what_it_skips(number: int) -> None:
    skipped = []
    for name, root, data in today():
        try:
            reader(number).decode(root, data)
        except UnknownTag as unknown:
            skipped.append((name, unknown.call, unknown.seq, unknown.ack))

    later = set(described()) - set(written(number))
    assert {name for name, *_ in skipped} == {type(one).__name__ for one in MESSAGES} & later
    assert {told for _, *told in map(list, skipped) if told != ["rtc_03_abc", 9, 4]} == set()


@pytest.mark.parametrize("number", BEFORE)
def test_this_release_reads_what_an_earlier_one_wrote(number: int) -> None:
    troubles = {}
    for name, root, data in today():
        if name not in written(number):
            continue
        as_written = reader(number).rewritten(root, data)
        if differences := list(grown(reader(number).decode(root, as_written), READ[root](as_written))):
            troubles[name] = differences

    assert troubles == {}


def changed(old: Described, new: Described) -> list[str]:
    """What breaks readers: Structs that are gone, tags and fields that aren't what and where they were."""
    found = [f"{name} is gone" for name in old if name not in new]
    for name in old.keys() & new.keys():
        before, now = old[name], new[name]
        if before["tag"] != now["tag"]:
            found.append(f"{name} has another tag")
        found += [
            f"{name}.{was[0]} isn't what it was"
            for was, is_ in zip(before["fields"], now["fields"] + [None] * len(before["fields"]), strict=False)
            if is_ is None or not _same(was, is_)
        ]
        appended = now["fields"][len(before["fields"]) :]
        found += [f"{name}.{field[0]} is new, without a default" for field in appended if len(field) < 3]
    return sorted(found)


def _same(was: list[Spelling], now: list[Spelling]) -> bool:
    """A union of Structs may grow: what an earlier reader doesn't know of it is skipped by its tag."""
    if was[0] == now[0] and was[0] in ("message", "events"):
        return len(was) == len(now)
    return was == now


@pytest.mark.parametrize("number", BEFORE)
def test_fields_and_tags_are_where_an_earlier_release_had_them(number: int) -> None:
    assert changed(written(number), described()) == []


def test_the_last_two_wires_are_kept_and_this_one_is_not_yet() -> None:
    kept = {int(path.stem) for path in WIRES.glob("*.json")}

    assert set(BEFORE) <= kept
    assert max(kept) == WIRE - 1


def without(name: str, field: str) -> Described:
    new = described()
    new[name]["fields"] = [one for one in new[name]["fields"] if one[0] != field]
    return new


def test_a_removed_field_is_found() -> None:
    found = changed(described(), without("Final", "recognise_ms"))

    assert found == ["Final.recognise_ms isn't what it was"]


def test_fields_that_changed_places_are_found() -> None:
    new = described()
    fields = new["SpeechStopped"]["fields"]
    fields[0], fields[1] = fields[1], fields[0]

    found = changed(described(), new)

    assert found == ["SpeechStopped.at_sample isn't what it was", "SpeechStopped.utterance isn't what it was"]


def test_a_field_of_another_type_and_one_without_a_default_are_found() -> None:
    new = described()
    new["Silent"]["fields"][0] = ["to_sample", "float"]
    new["Hush"]["fields"].append(["reason", "text"])
    new["Declined"]["fields"][0] = ["reason", [*new["Declined"]["fields"][0][1], "tired"]]

    found = changed(described(), new)

    assert found == [
        "Declined.reason isn't what it was",
        "Hush.reason is new, without a default",
        "Silent.to_sample isn't what it was",
    ]


def test_a_message_and_an_appended_field_with_a_default_may_be_new() -> None:
    new = described()
    new["Hush"]["fields"].append(["reason", "text", ""])
    new["Yawn"] = {"tag": "yawn", "fields": []}
    new["Envelope"]["fields"][-1] = ["message", [*new["Envelope"]["fields"][-1][1], "Yawn"]]

    assert changed(described(), new) == []


def test_a_reader_without_a_message_skips_it_and_one_without_a_field_ignores_it() -> None:
    old = without("Listen", "joined")
    old["Envelope"]["fields"][-1][1].remove("Heard")
    earlier = Reader(old)
    wire = {name: data for name, root, data in today() if root == "Envelope"}

    read = earlier.decode("Envelope", wire["Listen"])

    assert not hasattr(read.message, "joined")  # type: ignore[attr-defined]  # made of text
    assert list(grown(read, envelope.decode(wire["Listen"]))) == []
    with pytest.raises(UnknownTag, match="heard"):
        earlier.decode("Envelope", wire["Heard"])


def test_a_value_unknown_to_an_earlier_reader_is_found() -> None:
    old = described()
    old["ToolDeclined"]["fields"][1] = ["reason", ["one of", "busy"]]
    (data,) = [data for name, _, data in today() if name == "ToolDeclined"]

    with pytest.raises(Undecodable, match="Invalid enum value 'digest'"):
        Reader(old).decode("Envelope", data)
