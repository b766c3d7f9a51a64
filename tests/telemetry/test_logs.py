import io
import logging
from collections.abc import Iterator

import msgspec
import pytest

from trunkline.telemetry import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the lines go; what logging was set to before comes back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("trunkline")
    before = root.handlers[:], root.level, ours.level
    lines = io.StringIO()
    logs.configure("info", "stt", "stt-abc", lines)
    yield lines
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [msgspec.json.decode(line, type=dict[str, object]) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_facts(stream: io.StringIO) -> None:
    logs.get("trunkline.test").info("call placed", call_id="rtc_01_a", load=0.5)

    (line,) = read(stream)
    at = line.pop("at")
    assert isinstance(at, str)
    assert at.endswith("+00:00")
    assert line == {
        "level": "info",
        "service": "stt",
        "worker": "stt-abc",
        "logger": "trunkline.test",
        "message": "call placed",
        "call_id": "rtc_01_a",
        "load": 0.5,
    }


def test_bound_facts_stand_in_every_line_inside_and_in_none_outside(stream: io.StringIO) -> None:
    log = logs.get("trunkline.test")

    with logs.bound(call_id="rtc_01_a"):
        with logs.bound(epoch=2):
            log.info("inner")
        log.info("outer")
    log.info("outside")

    assert [(line.get("call_id"), line.get("epoch")) for line in read(stream)] == [
        ("rtc_01_a", 2),
        ("rtc_01_a", None),
        (None, None),
    ]


def test_an_exception_is_still_one_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        logs.get("trunkline.test").error("call failed", exc_info=True)

    (line,) = read(stream)
    assert "ValueError: broken" in str(line["traceback"])


def test_a_fact_never_hides_the_head_of_its_line(stream: io.StringIO) -> None:
    logs.get("trunkline.test").info("text", level=3, message="other")

    (line,) = read(stream)
    assert (line["level"], line["message"]) == ("info", "text")
    assert (line["level_"], line["message_"]) == (3, "other")


def test_what_json_cannot_say_is_written_as_its_repr(stream: io.StringIO) -> None:
    logs.get("trunkline.test").info("odd", value=ValueError("x"))

    assert [line["value"] for line in read(stream)] == ["ValueError('x')"]


def test_levels_below_the_configured_are_silent_and_libraries_speak_from_warning(stream: io.StringIO) -> None:
    logs.get("trunkline.test").debug("quiet")
    logging.getLogger("nats").info("quiet")
    logging.getLogger("nats").warning("loud %s", "enough")

    assert [line["message"] for line in read(stream)] == ["loud enough"]


def test_an_unknown_level_is_refused_with_those_allowed() -> None:
    with pytest.raises(ValueError, match="one of debug, info, warning, error, not 'chatty'"):
        logs.configure("chatty", "stt", "stt-abc")
