"""Server-sent events: the same whatever pieces they come in, and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.agent.models.endpoint import sse
from trunkline.agent.models.endpoint.sse import EventReader, StreamOverlong

texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)


def read(*pieces: bytes) -> list[bytes]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.end()


@given(st.lists(texts), st.data(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_events_are_the_same_whatever_pieces_they_come_in(events: list[str], data: st.DataObject, end: bytes) -> None:
    stream = b"".join(b"event: e" + end + b"data: " + event.encode() + end + end for event in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))

    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert read(*pieces) == [event.encode() for event in events]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\r\ndata: b\r\n\r\n", [b"a\nb"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b": ping\n\ndata: a\n\n", [b"a"]),
        (b"id: 1\nretry: 5\n\ndata: a\n\n", [b"a"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        (b"data\n\n", [b""]),
        (b"\n\n\n", []),
        (b"", []),
    ],
)
def test_a_stream_is_read_as_the_standard_says(stream: bytes, events: list[bytes]) -> None:
    assert read(stream) == events
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == events


@pytest.mark.parametrize("piece", [b"x" * 60, b"data: " + b"x" * 50 + b"\n"], ids=["one line", "many lines"])
def test_an_event_has_a_bound(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(sse, "EVENT_LIMIT_BYTES", 100)
    reader = EventReader()
    reader.feed(piece)

    with pytest.raises(StreamOverlong, match="longer than 100 bytes"):
        reader.feed(piece + piece)


def test_events_may_be_many() -> None:
    assert len(read(b"data: x\n\n" * 100_000)) == 100_000
