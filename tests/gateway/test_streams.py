"""An agent's audio as binary messages: whatever the pieces are, each segment's samples come once, and in order."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio import g711
from trunkline.gateway.call_events import AudioSaid
from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.edge_audio import Mouth
from trunkline.gateway.dialects.realtime.open_response import Place
from trunkline.gateway.dialects.realtime.session_audio import PCM, Format
from trunkline.gateway.dialects.realtime.streams import Streams
from trunkline.proto.binary_dialect import AudioMessage, pack, speech_samples, unpack

PCMU = Format("audio/pcmu")
pieces = st.lists(st.lists(st.integers(1, 3_000), min_size=1, max_size=5), min_size=1, max_size=4)


def place(item: str = "item_1") -> Place:
    return {"response_id": "resp_1", "item_id": item, "output_index": 0, "content_index": 0}


class Socket:
    """What comes out of one: audio by segment, and where each message stood."""

    def __init__(self) -> None:
        numbers = count()
        self.streams = Streams(lambda: f"event_{next(numbers)}")
        self.announced: list[out.AudioStream] = []
        self.messages: list[tuple[int, AudioMessage]] = []  # with the segment

    def take(self, told: Iterator[out.Told]) -> None:
        for one in told:
            if isinstance(one, bytes):
                message = unpack(one)
                stream = self.announced[-1]
                assert stream.stream == message.stream
                self.messages.append((stream.segment, message))
            else:
                assert isinstance(one, out.AudioStream)
                self.announced.append(one)

    def say(self, mouth: Mouth, segments: list[list[int]], item: str = "item_1") -> bytes:
        """A whole item of so many samples in so many pieces; its speech."""
        rng = np.random.default_rng(7)
        speech = b""
        for segment, sizes in enumerate(segments):
            position = 0
            for size in sizes:
                pcm = rng.integers(-8_000, 8_000, size, dtype=np.int16).tobytes()
                said = AudioSaid("resp_1", item, pcm, segment, position)
                self.take(self.streams.carry(place(item), mouth.format, mouth.say(pcm), said))
                speech, position = speech + pcm, position + size
        self.take(self.streams.carry(place(item), mouth.format, mouth.rest(), None))
        return speech

    def audio(self) -> bytes:
        return b"".join(message.audio for _, message in self.messages)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary())
def test_a_message_is_its_header_and_its_audio(stream: int, position: int, audio: bytes) -> None:
    data = pack(stream, position, audio)

    assert unpack(data) == (stream, position, audio)
    assert data[:8] == stream.to_bytes(4, "little") + position.to_bytes(4, "little")


def test_what_is_shorter_than_a_header_is_no_message() -> None:
    with pytest.raises(ValueError, match="7 bytes has no header"):
        unpack(bytes(7))


@given(pieces)
def test_pcm_goes_out_as_it_is_said(segments: list[list[int]]) -> None:
    socket = Socket()

    speech = socket.say(Mouth(PCM), segments)

    assert socket.audio() == speech
    said = [(segment, position) for segment, sizes in enumerate(segments) for position in np.cumsum([0, *sizes[:-1]])]
    assert [(segment, message.position) for segment, message in socket.messages] == said
    assert [(one.stream, one.segment) for one in socket.announced] == [(n + 1, n) for n in range(len(segments))]


@given(pieces)
def test_of_g711_each_segment_has_its_own_samples_though_the_change_of_rate_is_late(segments: list[list[int]]) -> None:
    socket, mouth, at_once = Socket(), Mouth(PCMU), Mouth(PCMU)

    speech = socket.say(mouth, segments)

    assert socket.audio() == at_once.say(speech) + at_once.rest()
    for number, sizes in enumerate(segments):
        of_it = [message for segment, message in socket.messages if segment == number]
        ends = [message.position + speech_samples("audio/pcmu", len(message.audio)) for message in of_it]
        assert all(abs(end - behind.position) <= 2 for end, behind in zip(ends, of_it[1:], strict=False))
        assert abs(max(ends, default=0) - sum(sizes)) <= 3


@given(pieces)
def test_of_g711_decoded_audio_is_what_was_said(segments: list[list[int]]) -> None:
    socket = Socket()
    socket.say(Mouth(PCMU), segments)

    total = sum(map(sum, segments))

    assert len(g711.decode_mulaw(socket.audio())) == (2 * total + 3) // 6


def test_a_stream_goes_on_behind_what_the_call_left_out() -> None:
    socket = Socket()
    for position in (0, 500):
        said = AudioSaid("resp_1", "item_1", bytes(200), 0, position)
        socket.take(socket.streams.carry(place(), PCM, said.pcm, said))

    assert [message.position for _, message in socket.messages] == [0, 500]
    assert len(socket.announced) == 1


def test_another_format_is_another_stream() -> None:
    socket = Socket()
    late = Mouth(PCMU)
    for position, wanted, mouth in ((0, PCMU, late), (1_000, PCM, Mouth(PCM))):
        said = AudioSaid("resp_1", "item_1", bytes(2_000), 0, position)
        socket.take(socket.streams.carry(place(), wanted, mouth.say(said.pcm), said))

    assert [(one.stream, one.format) for one in socket.announced] == [(1, PCMU), (2, PCM)]
    assert [message.position for _, message in socket.messages] == [0, 1_000]


def test_an_item_without_any_audio_announces_nothing() -> None:
    socket = Socket()

    socket.take(socket.streams.carry(place(), PCM, b"", None))
    socket.say(Mouth(PCM), [[100]], "item_2")

    assert [one.item_id for one in socket.announced] == ["item_2"]
