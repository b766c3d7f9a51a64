"""Calls that a real language model answers: it speaks while it is still thinking, and stops when it is interrupted."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import lines, placing
from support import llm_server
from support.llm_server import LlmServer
from support.running_stack import RunningStack
from trunkline.cli.caller import Caller
from trunkline.cli.record_json import CallRecord
from trunkline.proto.audio import SPEECH_RATE_HZ

pytestmark = [pytest.mark.llm, pytest.mark.skipif(bool(llm_server.missing()), reason=llm_server.missing())]
AGENT = Path(__file__).with_name("storyteller.py")
STOPPED_LIMIT_S = 3.0  # from the caller's interruption, with its recognition, to a server that is idle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlmServer]:
    with llm_server.running(tmp_path_factory.mktemp("llm") / "server.log", threads=1) as running:
        yield running


@pytest.fixture(scope="module", params=["chat"])
def telling(
    model: LlmServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[RunningStack]:
    environ = {"TRUNKLINE_MODEL_URL": model.url, "TRUNKLINE_MODEL_NAME": llm_server.MODEL}
    options = ("--agent", str(AGENT), "--engine", f"model={request.param}")
    running = RunningStack(tmp_path_factory.mktemp("telling"), *options, environ=environ).start()
    yield running
    assert running.stop() == 0


def test_the_caller_hears_the_model_while_it_still_thinks_and_stops_it_by_speaking(
    model: LlmServer, telling: RunningStack
) -> None:
    async def call() -> tuple[int, float, int, Caller, CallRecord]:
        before, cancelled = model.predicted(), model.cancelled()
        async with Caller(telling.address) as caller:
            asked = await caller.say(lines.spoken("long_story.wav"))
            await caller.reply_heard(asked, for_s=1.0)
            busy = await asyncio.to_thread(model.busy)
            over = await caller.say(lines.spoken("wait_stop.wav"))
            spoke_s = time.monotonic()
            stopped_s = await _until_cancelled(model, cancelled, spoke_s)
            made = model.predicted() - before
            await caller.reply_heard(over, for_s=0.5)
        return busy, stopped_s, made, caller, await placing.record_of(telling, caller)

    busy, stopped_s, made, caller, record = asyncio.run(call())

    first, second = caller.listener.turns[1:3]
    first_audio_s = (first.items[0].first_sample - first.speech_end) / SPEECH_RATE_HZ
    print(
        f"first audio after {first_audio_s:.2f} s; {made} tokens when the server had stopped, {stopped_s:.2f} s later"
    )
    assert busy == 1, "the caller heard nothing before the last token"
    assert stopped_s < STOPPED_LIMIT_S
    assert 0 < made < 1200
    assert first.interrupted
    assert second.items
    sounded = {item.item for item in first.items if item.first_sample >= 0}  # the line may be heard as two turns
    (told,) = [item for item in record.items if item.id in sounded and item.status == "interrupted"]
    assert told.text.startswith(told.heard_text)
    assert 0 < len(told.heard_text) < len(told.text)


async def _until_cancelled(model: LlmServer, before: int, since_s: float) -> float:
    """Seconds since then until the server has given the answer up."""
    while (model.cancelled() == before or model.busy()) and time.monotonic() < since_s + 10.0:  # noqa: ASYNC110  # another process
        await asyncio.sleep(0.02)
    return time.monotonic() - since_s
