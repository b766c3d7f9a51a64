"""What the dialects say and what they make of a server's messages."""

import base64

import msgspec
import pytest

from load.told import Told
from trunkline.cli.load import dialect
from trunkline.cli.load.binary import BINARY
from trunkline.cli.load.dialect import KNOWN, Turns
from trunkline.cli.load.frames import Opcode
from trunkline.cli.load.realtime import REALTIME
from trunkline.proto.binary_dialect import pack
from trunkline.proto.errors import BadInput


def told(*events: dict[str, object]) -> list[object]:
    ear = Told()
    for event in events:
        REALTIME.read(Opcode.TEXT, msgspec.json.encode(event), ear)
    return ear.things


@pytest.mark.parametrize("samples", [0, 1, 2, 3, 480, 481, 2399])
def test_audio_is_as_long_as_its_samples_whatever_base64_pads(samples: int) -> None:
    delta = base64.b64encode(bytes(2 * samples)).decode()

    heard = told({"event_id": "event_1", "type": "response.output_audio.delta", "delta": delta})

    assert heard == [round(samples / 24_000, 6)]


def test_a_reply_is_told_from_its_beginning_to_its_end() -> None:
    heard = told(
        {"type": "session.created", "session": {"id": "rtc_1"}},
        {"type": "session.updated", "session": {"id": "rtc_1"}},
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_1"},
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        {"type": "response.output_audio_transcript.delta", "delta": "Here you are."},
        {"type": "response.done", "response": {"id": "resp_1", "status": "completed"}},
    )

    assert heard == ["set up", "may speak", "noticed", "reply began", "reply over"]


def test_an_error_and_a_failed_response_fail_the_call_and_a_cancel_that_came_too_late_does_not() -> None:
    heard = told(
        {"type": "error", "error": {"message": "too late", "code": "response_cancel_not_active"}},
        {"type": "error", "error": {"message": "no such thing", "code": None}},
        {"type": "response.done", "response": {"status": "failed"}},
    )

    assert heard == ["error event: no such thing", "a response failed"]


def test_what_is_no_event_fails_the_call() -> None:
    ear = Told()

    REALTIME.read(Opcode.TEXT, b"hello", ear)

    assert str(ear.things[0]).startswith("no event: ")


@pytest.mark.parametrize(("turns", "says_who_ends"), [("commit", True), ("vad", False)])
def test_only_who_ends_his_turns_himself_switches_the_servers_detection_off(turns: Turns, says_who_ends: bool) -> None:
    [message] = REALTIME.opening(turns)

    asked = msgspec.json.decode(message.payload)["session"]["audio"]["input"]
    assert ("turn_detection" in asked) == says_who_ends
    assert asked.get("turn_detection") is None


def test_a_key_is_sent_and_none_is_left_out() -> None:
    assert (REALTIME.headers("sk-1"), REALTIME.headers("")) == ({"Authorization": "Bearer sk-1"}, {})


@pytest.mark.parametrize("name", KNOWN)
def test_every_dialect_loads_by_its_name(name: str) -> None:
    loaded = dialect.load(dialect.spec_of(name))

    assert loaded.rate_hz in (16_000, 24_000)
    assert len(loaded.frame(bytes(2 * loaded.rate_hz // 50)).payload) >= 2 * loaded.rate_hz // 50
    assert dialect.name_of(dialect.spec_of(name)) == name


def test_an_unknown_dialect_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="realtime"):
        dialect.spec_of("morse")


def test_binary_audio_is_as_long_as_its_samples_behind_the_header_and_all_else_is_as_in_json() -> None:
    ear = Told()

    BINARY.read(Opcode.BINARY, pack(1, 0, bytes(2 * 2400)), ear)
    BINARY.read(Opcode.TEXT, b'{"type":"session.created"}', ear)

    assert ear.things == [0.1, "set up"]


def test_a_caller_in_binary_sends_samples_alone_at_the_rate_of_recognisers_and_asks_for_that() -> None:
    [opening] = BINARY.opening("commit")

    assert BINARY.frame(bytes(640)) == (Opcode.BINARY, bytes(640))
    asked = msgspec.json.decode(opening.payload)["session"]["audio"]["input"]["format"]
    assert (BINARY.rate_hz, asked["rate"]) == (16_000, 16_000)
    assert BINARY.headers("sk-1")["Sec-WebSocket-Protocol"] == "trunkline.binary.v1"
