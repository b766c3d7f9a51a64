"""STT alone, on virtual time: all that is said is written down once, in order, however fast it comes and who dies."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from gateway.ears import FAILS, Ear, silence, story, tone
from gateway.scene import Scene, Worker, settle
from support.virtual import run_virtual
from trunkline.audio.pcm import Samples
from trunkline.gateway.call_events import (
    AudioCommitted,
    CallEvent,
    SpeechBegan,
    SpeechEnded,
    Transcribed,
    TranscribedSoFar,
    TranscriptionFailed,
)
from trunkline.gateway.listening import RING_SAMPLES
from trunkline.gateway.transcribing import Transcribing, require_language
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.speech import TurnRules

RULES = TurnRules(silence_ms=500, unfinished_ms=500)
MANUAL = TurnRules(automatic=False)


class Notes:
    """What a transcription tells. most_ahead: samples heard beyond what was judged; most_held: and in the ring."""

    def __init__(self, scene: Scene, rules: TurnRules = RULES, language: str = "en", *, patient: bool = False) -> None:
        self.events: list[CallEvent] = []
        self.most_ahead = self.most_held = 0
        self.heard = Transcribing(
            scene.calls.requests, "test", self.events.append, rules=rules, language=language, patient=patient
        )

    def all(self, kind: type) -> list[CallEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Transcribed)]

    async def read_out(self, samples: Samples) -> None:
        """As fast as there is room."""
        while len(samples):
            room = await self.heard.room()
            self.heard.hear(samples[:room])
            samples = samples[room:]
            self.most_ahead = max(self.most_ahead, self.heard.heard_to - self.heard.judged_to)
            self.most_held = max(self.most_held, self.heard.heard_to - self.heard._listening.replay_from)


async def another(scene: Scene, **options: Any) -> Ear:
    """It dies with the scene."""
    ear = await Ear(scene.broker, f"ear-{len(scene.workers)}", **options).start()
    scene.workers.append(cast(Worker, ear))
    return ear


def scenario(script: Callable[[Scene, Ear], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with Scene() as scene:
            await scene.stt.stop()
            ear = await another(scene, **options)
            await settle(1.0)
            await script(scene, ear)
            await settle()
            assert len(scene.calls.requests) == 0

    run_virtual(main())


def test_what_is_said_is_told_in_order_with_where_it_was_said() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        notes = Notes(scene)
        async with notes.heard:
            await notes.read_out(story(3000, 4000))
            await notes.heard.finish()
        await settle()

        first, second = notes.all(Transcribed)
        assert isinstance(first, Transcribed)
        assert isinstance(second, Transcribed)
        assert (first.text, second.text) == ("3000.", "4000.")
        assert first.from_sample < 1.5 * CALLER_RATE_HZ <= first.to_sample <= 3.1 * CALLER_RATE_HZ
        assert first.to_sample < second.from_sample < 4.5 * CALLER_RATE_HZ <= second.to_sample
        assert [type(event) for event in notes.events[:2]] == [SpeechBegan, SpeechEnded]
        assert len(notes.all(SpeechBegan)) == len(notes.all(SpeechEnded)) == len(notes.all(AudioCommitted)) == 2
        assert notes.all(TranscribedSoFar) == []
        assert ear.pool.calls == 0

    scenario(script)


def test_a_long_file_comes_as_fast_as_stt_listens_and_no_faster() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        levels = range(2100, 2100 + 100 * 40, 100)  # two minutes
        notes = Notes(scene)
        began_s = asyncio.get_running_loop().time()
        async with notes.heard:
            await notes.read_out(story(*levels))
            await notes.heard.finish()

        assert notes.texts == [f"{level}." for level in levels]
        assert notes.most_ahead <= 5 * CALLER_RATE_HZ
        assert asyncio.get_running_loop().time() - began_s < 30.0

    scenario(script)


def test_somebody_who_never_pauses_is_written_down_and_fits_the_ring_all_the_time() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        levels = range(2100, 2100 + 100 * 40, 100)
        notes = Notes(scene)
        async with notes.heard:
            await notes.read_out(np.concatenate([tone(level, 2.0) for level in levels]))
            await notes.heard.finish()

        assert set(" ".join(notes.texts).replace(".", "").split()) == {str(level) for level in levels}
        assert notes.most_held <= RING_SAMPLES

    scenario(script, takes_s=3.0)


@pytest.mark.parametrize("padding_ms", [0, 300, 5_000])
def test_minutes_of_silence_have_no_words(padding_ms: int) -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        notes = Notes(scene, msgspec.structs.replace(RULES, prefix_padding_ms=padding_ms))
        async with notes.heard:
            await notes.read_out(silence(100.0))
            await notes.heard.finish()

        assert notes.texts == []

    scenario(script)


@pytest.mark.parametrize("after_s", [0.05, 0.9, 3.1])
@pytest.mark.parametrize("end", ["kill", "hang"])
def test_the_loss_of_a_worker_costs_no_word(end: str, after_s: float) -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        levels = range(2100, 2100 + 100 * 30, 100)
        notes = Notes(scene)
        async with notes.heard:
            other = await another(scene, takes_s=0.3)
            reading = asyncio.create_task(notes.read_out(story(*levels)))
            await asyncio.sleep(after_s)
            if end == "kill":
                await ear.kill()
            else:
                ear.hang()
            await reading
            await notes.heard.finish()

        assert notes.texts == [f"{level}." for level in levels]
        assert other.listens
        assert other.listens[0].language == "en"

    scenario(script, takes_s=0.3)


def test_a_worker_that_dies_after_the_last_word_is_replaced_before_the_end() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        notes = Notes(scene)
        async with notes.heard:
            await another(scene)
            await notes.read_out(story(3000, 4000, 5000))
            ending = asyncio.create_task(notes.heard.finish())
            await asyncio.sleep(0.0)
            await ear.kill()
            await ending

        assert notes.texts == ["3000.", "4000.", "5000."]

    scenario(script, takes_s=2.0)


def test_words_that_fail_are_told_as_such_and_the_next_are_heard() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        notes = Notes(scene)
        async with notes.heard:
            await notes.read_out(story(3000, FAILS, 5000))
            await notes.heard.finish()

        assert notes.texts == ["3000.", "5000."]
        [failed] = notes.all(TranscriptionFailed)
        assert isinstance(failed, TranscriptionFailed)
        assert "can't hear that" in failed.reason

    scenario(script)


def test_a_client_that_commits_by_itself_gets_an_item_for_each_commit() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        notes = Notes(scene, MANUAL)
        async with notes.heard:
            await notes.read_out(story(3000, 4000))
            notes.heard.commit_audio()
            await notes.read_out(silence(0.5))
            notes.heard.commit_audio()
            with pytest.raises(BadInput) as refused:
                notes.heard.commit_audio()
            await notes.heard.settled()

        assert refused.value.code == "input_audio_buffer_commit_empty"
        assert notes.texts == ["3000 4000.", ""]
        assert not notes.all(SpeechBegan)

    scenario(script)


def test_words_that_stt_ended_before_it_knew_of_a_commit_stay_in_order() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        notes = Notes(scene)
        async with notes.heard:
            await notes.read_out(story(2100, 2200, 2300))
            notes.heard.hear(silence(0.6))
            notes.heard.commit_audio()
            await notes.heard.settled()

        assert notes.texts == ["2100.", "2200. 2300."]

    scenario(script)


def test_what_is_cleared_is_not_written_down() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        notes = Notes(scene)
        async with notes.heard:
            await notes.read_out(story(3000))
            notes.heard.clear_audio()
            await notes.read_out(story(4000))
            await notes.heard.finish()

        assert notes.texts == ["4000."]

    scenario(script)


def test_other_rules_hold_from_then_on_and_the_language_for_the_next_worker() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        notes = Notes(scene)
        async with notes.heard:
            notes.heard.configure(MANUAL, "de")
            other = await another(scene)
            await notes.read_out(story(3000, 4000))
            await ear.kill()
            await settle(3.0)
            notes.heard.commit_audio()
            await notes.heard.settled()

        assert notes.texts == ["3000 4000."]
        [listen] = other.listens
        assert (listen.language, listen.rules) == ("de", MANUAL)

    scenario(script)


def test_a_transcription_without_a_worker_is_refused_and_one_that_loses_all_ends() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        async def loses_all() -> None:
            notes = Notes(scene)
            async with notes.heard:
                await notes.read_out(story(3000))
                await ear.kill()
                await notes.read_out(silence(100.0))

        with pytest.raises(StageUnavailable):
            await loses_all()
        with pytest.raises(StageUnavailable):
            await Notes(scene).heard.__aenter__()

    scenario(script)


def test_a_client_that_goes_away_frees_its_worker() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        async def read() -> None:
            async with notes.heard:
                await notes.read_out(story(*range(2100, 6100, 100)))

        notes = Notes(scene)
        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        assert ear.pool.calls == 1
        reading.cancel()
        await settle()

        assert ear.pool.calls == 0

    scenario(script)


def test_a_language_counts_without_its_region() -> None:
    require_language("language", "en-US", ("en",))
    require_language("language", "de", ())
    with pytest.raises(BadInput) as refused:
        require_language("language", "de", ("en", "fr"))

    assert (refused.value.param, refused.value.code, refused.value.allowed) == ("language", "not_supported", "en, fr")


@pytest.mark.parametrize(("patient", "moves"), [(True, 0), (False, 1)])
def test_a_worker_that_calls_keep_busy_is_mute_to_who_speaks_and_not_to_who_is_patient(
    patient: bool, moves: int
) -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        other = await another(scene)
        notes = Notes(scene, patient=patient)
        async with notes.heard:
            await notes.read_out(story(3000))
            await notes.heard.finish()

        assert notes.texts == ["3000."]
        listens = [*ear.listens, *other.listens]
        assert [listen.patient for listen in listens] == [patient] * (1 + moves)

    scenario(script, takes_s=8.0)


def test_many_files_at_once_wait_for_their_worker_and_do_not_chase_each_other_to_another() -> None:
    async def script(scene: Scene, ear: Ear) -> None:
        async def read_out() -> list[str]:
            notes = Notes(scene, patient=True)
            async with notes.heard:
                await notes.read_out(story(3000))
                await notes.heard.finish()
            return notes.texts

        files = [asyncio.create_task(read_out()) for _ in range(20)]
        await settle(1.0)
        other = await another(scene)

        assert await asyncio.gather(*files) == [["3000."]] * 20
        assert (len(ear.listens), len(other.listens)) == (20, 0)

    scenario(script, takes_s=2.0, capacity=40)
