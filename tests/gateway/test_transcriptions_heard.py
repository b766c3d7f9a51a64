"""The real recogniser behind POST /v1/audio/transcriptions: callers' lines, long files, and the loss of a worker."""

import asyncio
import json
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.test_transcriptions import Asking
from support.judge import word_error_rate
from system.whole import Whole
from trunkline.audio import wav
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import resample
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.stt.settings import SttSettings

pytestmark = pytest.mark.engines

CALLERS = Path(__file__).parent.parent / "data" / "callers"
TEXTS = {name: line["text"] for name, line in json.loads((CALLERS / "transcripts.json").read_text()).items()}
SENTENCES = sorted(TEXTS.keys() - {"mhm"})  # no recogniser spells a backchannel alike twice


def line(name: str) -> Samples:
    clip = wav.read_file(CALLERS / f"{name}.wav")
    return resample(clip.samples, clip.rate_hz, CALLER_RATE_HZ)


def wav_of(*parts: Samples) -> bytes:
    return wav.write_bytes(np.concatenate(parts), CALLER_RATE_HZ)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * CALLER_RATE_HZ), dtype=np.int16)


def test_callers_lines_are_written_down_one_by_one_and_all_in_one_file() -> None:
    async def main() -> None:
        async with Whole(stt="moonshine") as whole:
            ask = Asking(whole)
            single = " ".join([await ask.text((CALLERS / f"{name}.wav").read_bytes()) for name in SENTENCES])
            pauses = [part for name in SENTENCES for part in (line(name), silence(1.0))]
            together = await ask.text(wav_of(*pauses))

        meant = " ".join(TEXTS[name] for name in SENTENCES)
        assert word_error_rate(meant, single) < 0.05
        assert word_error_rate(meant, together) < 0.05

    asyncio.run(main())


def test_a_minute_without_a_pause_and_ten_of_silence_are_written_down() -> None:
    async def main() -> None:
        async with Whole(stt="moonshine") as whole:
            ask = Asking(whole)
            story = np.concatenate([line("long_story")] * 8)[: 60 * CALLER_RATE_HZ]
            began_s = time.perf_counter()
            text = await ask.text(wav_of(story))
            print(f"60 s without a pause: {time.perf_counter() - began_s:.1f} s")
            silent = await ask.text(wav_of(silence(600.0)))

        assert word_error_rate(" ".join([TEXTS["long_story"]] * 8), text) < 0.15  # the last of them is cut off
        assert silent == ""

    asyncio.run(main())


def test_a_worker_that_dies_in_the_middle_costs_no_word() -> None:
    async def main() -> None:
        async with Whole(stt="moonshine") as whole:
            dies = whole.processes["stt"]
            await whole._start("stt", SttSettings(engine_stt="moonshine"), whole._stt, 2)
            await whole._beats()
            asked = asyncio.create_task(Asking(whole).text(wav_of(*pauses)))
            async with asyncio.timeout(10.0):
                while not (busy := dies._service.load()[0]):  # type: ignore[union-attr]  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)  # into the recording, which takes longer
            await dies.bus.close()
            text = await asked

        assert busy == 1
        assert word_error_rate(" ".join(TEXTS[name] for name in SENTENCES), text) < 0.05

    pauses = [part for name in SENTENCES for part in (line(name), silence(1.0))]
    asyncio.run(main())
