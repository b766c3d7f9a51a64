"""The client in the binary dialect: the same events, and no audio that a gateway would take for something else."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import WSMsgType

from client.test_client import CHUNK, Gateway, Taken, run
from trunkline.client import NotAnEvent, Refused, ServerEvent, connect
from trunkline.client.events import RESUME
from trunkline.proto.binary_dialect import SUBPROTOCOL, pack
from trunkline.proto.errors import BadInput

AUDIO = "response.output_audio.delta"
RAMP = b"".join(n.to_bytes(2, "little") for n in range(1000))
PCM = {"type": "audio/pcm", "rate": 24_000}


async def announce(taken: Taken, stream: int, segment: int = 0, format: dict[str, Any] = PCM) -> None:
    place = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    await taken.tell("trunkline.audio.stream", **place, stream=stream, segment=segment, format=format, news="later")


async def say(taken: Taken, stream: int, begin: int, end: int) -> None:
    """Samples of the ramp."""
    await taken.socket.send_bytes(pack(stream, begin, RAMP[2 * begin : 2 * end]))


def told(event: ServerEvent) -> tuple[str, str, int, int, int, bytes]:
    return event.item_id, event.response_id, event.segment, event.position, event.samples, event.audio


def test_audio_is_the_same_event_as_in_json() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        if taken.binary:
            await announce(taken, 1)
            await say(taken, 1, 0, 2)
        else:
            place = {"response_id": "resp_1", "item_id": "item_1", "segment": 0, "position": 0, "samples": 2}
            await taken.tell(AUDIO, **place, delta="AAABAA==")
        await taken.socket.close()

    async def main() -> None:
        events = []
        for binary in (False, True):
            async with Gateway(first).running() as url, connect(url, binary=binary) as call:
                events.append([event async for event in call][1])

        assert [event.type for event in events] == [AUDIO, AUDIO]
        assert told(events[0]) == told(events[1]) == ("item_1", "resp_1", 0, 0, 2, RAMP[:4])

    run(main())


def test_of_g711_a_sample_counts_three() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await announce(taken, 9, 4, {"type": "audio/pcmu"})
        await taken.socket.send_bytes(pack(9, 300, b"\x80" * 10))
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first).running() as url, connect(url, binary=True) as call:
            event = [event async for event in call][1]

        assert (event.segment, event.position, event.samples, event.audio) == (4, 300, 30, b"\x80" * 10)

    run(main())


def test_audio_that_came_before_a_gateway_was_lost_is_cut_off_and_counted() -> None:
    asked: list[dict[str, Any]] = []

    async def first(taken: Taken) -> None:
        await taken.opens()
        await announce(taken, 7)
        await say(taken, 7, 0, 100)
        await taken.hears(1)
        taken.breaks()

    async def second(taken: Taken) -> None:
        asked.append(await taken.takes_up(0))
        await announce(taken, 1)
        await say(taken, 1, 60, 150)
        await say(taken, 1, 150, 200)
        await taken.socket.close()

    async def main() -> None:
        sound = b""
        async with Gateway(first, second).running() as url, connect(url, binary=True) as call:
            async for event in call:
                if event.type == AUDIO:
                    sound += event.audio
                    call.append_audio(CHUNK)

        assert sound == RAMP[:400]
        assert asked[0]["received"] == [{"item_id": "item_1", "segment": 0, "samples": 100}]

    run(main())


def test_what_a_later_version_may_say_is_passed_over() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.socket.send_bytes(pack(3, 0, b"of a stream that nobody told of"))
        await announce(taken, 1)
        await say(taken, 2, 0, 5)
        await say(taken, 1, 0, 5)
        await taken.tell("trunkline.smell", odour="burnt")
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first).running() as url, connect(url, binary=True) as call:
            kinds = [(event.type, event.audio) for event in [event async for event in call][1:]]

        assert kinds == [(AUDIO, RAMP[:10]), ("trunkline.smell", b"")]

    run(main())


def test_a_message_without_a_header_is_no_event() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.socket.send_bytes(b"abc")
        await taken.until_left()

    async def main() -> None:
        async with Gateway(first).running() as url, connect(url, binary=True) as call:
            with pytest.raises(NotAnEvent, match="3 bytes has no header"):
                _ = [event async for event in call]

    run(main())


def test_a_caller_at_16_khz_says_so_before_anything_else_and_again_to_the_next_gateway() -> None:
    said: list[bytes] = []
    asked: list[dict[str, Any]] = []

    async def first(taken: Taken) -> None:
        update = json.loads((await taken.socket.receive()).data)
        assert update["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 16_000}
        await taken.opens()
        await taken.tell("session.updated")
        said.append(await taken.hears(len(CHUNK) // 2))
        taken.breaks()

    async def second(taken: Taken) -> None:
        asked.append(await taken.takes_up(audio_from_ms=10))
        said.append(await taken.hears(len(CHUNK) // 2 - 160))
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url, binary=True, input_rate_hz=16_000) as call:
            async for event in call:
                if event.type == "session.updated":
                    call.append_audio(CHUNK)

        assert said == [CHUNK, CHUNK[320:]]
        assert asked[0]["session"]["audio"]["input"]["format"]["rate"] == 16_000
        assert asked[0]["end_ms"] == 30

    run(main())


def test_a_gateway_without_the_dialect_is_spoken_to_in_json() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        message = await taken.socket.receive()
        assert (message.type, json.loads(message.data)["type"]) == (WSMsgType.TEXT, "input_audio_buffer.append")
        await taken.socket.close()

    async def main() -> None:
        gateway = Gateway(first, protocols=(RESUME,))
        async with gateway.running() as url, connect(url, binary=True) as call:
            call.append_audio(CHUNK)
            assert [event.type async for event in call] == ["session.created"]

    run(main())


def test_a_gateway_without_the_dialect_is_not_spoken_to_at_16_khz() -> None:
    left: list[int] = []

    async def first(taken: Taken) -> None:
        left.append(await taken.until_left())

    async def main() -> None:
        async with Gateway(first, protocols=(RESUME,)).running() as url:
            with pytest.raises(Refused, match="it knows no trunkline"):
                await connect(url, binary=True, input_rate_hz=16_000).__aenter__()

        assert left == [1000]

    run(main())


def test_a_call_at_16_khz_goes_on_only_at_a_gateway_with_the_dialect() -> None:
    async def first(taken: Taken) -> None:
        gateway.protocols = (RESUME,)
        await taken.opens()
        taken.breaks()

    async def second(taken: Taken) -> None:
        assert taken.binary
        await taken.takes_up(0)
        await taken.socket.close()

    gateway = Gateway(first, second)

    async def main() -> None:
        async with gateway.running() as url, connect(url, binary=True, input_rate_hz=16_000) as call:
            await asyncio.sleep(0.5)
            asked = gateway.asked
            gateway.protocols = (SUBPROTOCOL, RESUME)
            assert [event.type async for event in call] == ["session.created"]
            assert (call.resumed, asked > 1) == (1, True)

    run(main())


@pytest.mark.parametrize(("binary", "rate_hz"), [(False, 16_000), (True, 8_000)])
def test_another_rate_is_refused(binary: bool, rate_hz: int) -> None:
    with pytest.raises(BadInput, match=f"is {rate_hz}; allowed: 24000"):
        connect("ws://nowhere", binary=binary, input_rate_hz=rate_hz)
