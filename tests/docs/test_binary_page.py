"""The page on the binary dialect: its bytes are those of the code, and its clients call an agent."""

import asyncio
import json
import os
import re
import sys
import wave
from pathlib import Path

import pytest

from docs.test_snippets import DOCS, snippets
from system.whole import KEY, Whole
from trunkline.audio import dtmf
from trunkline.audio.pcm import to_bytes
from trunkline.audio.resample import resample
from trunkline.cli import line
from trunkline.gateway.dialects.realtime import events_out
from trunkline.gateway.dialects.realtime.session_audio import PCM
from trunkline.proto.binary_dialect import INPUT_RATES_HZ, SUBPROTOCOL, pack, unpack

PAGE = DOCS / "binary.md"
CLIENTS = [snippet.code for snippet in snippets(PAGE) if snippet.how == "call"]


def block(kind: str) -> str:
    found = re.search(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_bytes_of_the_example_are_the_message_that_it_tells_of() -> None:
    data = bytes.fromhex(block("hex"))

    message = unpack(data)

    assert (message.stream, message.position) == (3, 2_400)
    assert [int.from_bytes(message.audio[at : at + 2], "little", signed=True) for at in (0, 2, 4)] == [1, -1, 256]
    assert pack(*message) == data


def test_the_announcement_has_the_fields_of_the_event() -> None:
    told = json.loads(block("json"))
    place = {name: told[name] for name in ("response_id", "item_id", "output_index", "content_index")}
    event = events_out.AudioStream(event_id="event_7", **place, stream=3, segment=1, format=PCM)

    assert json.loads(events_out.encode(event)) == told


def test_the_page_names_the_subprotocol_and_the_rates() -> None:
    text = PAGE.read_text()

    assert SUBPROTOCOL in text
    assert all(f'"rate": {rate_hz}' in text for rate_hz in INPUT_RATES_HZ)


def test_the_first_client_is_short_and_needs_nothing_of_ours() -> None:
    assert len(CLIENTS) == 2
    assert "trunkline." not in CLIENTS[0].replace("trunkline.binary.v1", "")
    assert len([line for line in CLIENTS[0].splitlines() if line.strip()]) <= 40


@pytest.mark.programs
@pytest.mark.parametrize("code", CLIENTS, ids=["by hand", "trunkline.client"])
def test_a_client_of_the_page_asks_and_hears(code: str, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(code)
    with wave.open(str(tmp_path / "question.wav"), "wb") as question:
        question.setparams((1, 2, 16_000, 0, "NONE", ""))
        samples = line.make(dtmf.tones("4711", 24_000, tone_ms=120, gap_ms=60), 24_000).samples
        question.writeframes(to_bytes(resample(samples, 24_000, 16_000)))

    async def main() -> None:
        async with Whole(stt="digits") as stack:
            given = {"TRUNKLINE_URL": stack.addresses[0].realtime, "TRUNKLINE_API_KEY": KEY}
            client = await asyncio.create_subprocess_exec(
                sys.executable, "client.py", cwd=tmp_path, env={**os.environ, **given}, stderr=asyncio.subprocess.PIPE
            )
            _, complaint = await asyncio.wait_for(client.communicate(), 30.0)
            assert client.returncode == 0, complaint.decode()

    asyncio.run(main())  # in real time: the client is another process
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        assert answer.getnframes() > 24_000 // 10
