"""Words while the caller still speaks: when they are worked out, and that nothing waits for them."""

import asyncio
from concurrent.futures import Executor

import pytest

from support.virtual import run_virtual
from trunkline.proto.errors import BadSettings
from trunkline.proto.speech import Final, Partial, SpeechStarted, SpeechStopped, TurnRules
from trunkline.stt.endpointing import Attempt, Draft, Endpointer
from trunkline.stt.service import SttService
from trunkline.stt.settings import SttSettings
from trunkline.stt.vad import WINDOW_SAMPLES

from .driving import Inline, Slow, silence, voice
from .test_session import Hub, Worker, silent, speech

SECOND = 16_000


def drafts(*track: list[float], every_samples: int = SECOND) -> list[Draft]:
    endpointer = Endpointer(TurnRules(), 0, every_samples)
    decided = [d for part in track for probability in part for d in endpointer.hear(probability)]
    return [decision for decision in decided if isinstance(decision, Draft)]


def test_a_caller_who_speaks_on_is_drafted_from_the_beginning_once_a_second() -> None:
    first, second, third = drafts(voice(3.2), silence(2.0))

    assert first.from_sample == second.from_sample == third.from_sample
    gaps = [second.to_sample - first.to_sample, third.to_sample - second.to_sample]
    assert all(SECOND <= gap < SECOND + WINDOW_SAMPLES for gap in gaps)


def test_a_short_word_and_the_silence_after_it_are_not_drafted() -> None:
    assert drafts(voice(0.9), silence(3.0)) == []


def test_nothing_is_drafted_unless_it_is_asked_for() -> None:
    assert drafts(voice(5.0), silence(1.0), every_samples=0) == []


def test_an_attempt_is_made_as_without_drafts() -> None:
    def attempts(every_samples: int) -> list[Attempt]:
        endpointer = Endpointer(TurnRules(), 0, every_samples)
        decided = [d for probability in voice(2.5) + silence(1.0) for d in endpointer.hear(probability)]
        return [decision for decision in decided if isinstance(decision, Attempt)]

    assert attempts(SECOND) == attempts(0)


def worker(executor: Executor | None = None) -> Worker:
    return Worker(("one two three",), executor or Inline(), draft_samples=SECOND)


async def heard(stage: Worker, *calls: Hub) -> list[Hub]:
    """Each says something of two and a half seconds."""
    await asyncio.gather(*(call.say(silent(0.5), speech(2.5), silent(1.5)) for call in calls))
    await asyncio.sleep(3.0)
    stage.pool.close("test ends")
    return list(calls)


def test_words_are_told_while_the_caller_speaks_on() -> None:
    async def scenario() -> None:
        stage = worker()
        await stage.start()
        [hub] = await heard(stage, await stage.call())
        await stage.stop()

        kinds = [type(fact) for fact in hub.facts if isinstance(fact, SpeechStarted | Partial | SpeechStopped | Final)]
        assert kinds == [SpeechStarted, Partial, Partial, Partial, SpeechStopped, Final]

    run_virtual(scenario())


def test_a_file_is_not_drafted() -> None:
    async def scenario() -> None:
        stage = worker()
        await stage.start()
        [hub] = await heard(stage, await stage.call(patient=True))
        await stage.stop()

        kinds = [type(fact) for fact in hub.facts if isinstance(fact, SpeechStarted | Partial | SpeechStopped | Final)]
        assert kinds == [SpeechStarted, Partial, SpeechStopped, Final]

    run_virtual(scenario())


def test_a_draft_that_is_late_is_never_told_after_the_words() -> None:
    async def scenario() -> None:
        stage = worker(Slow(0.9))
        await stage.start()
        [hub] = await heard(stage, await stage.call())
        await stage.stop()

        kinds = [type(fact) for fact in hub.facts if isinstance(fact, Partial | SpeechStopped | Final)]
        assert kinds[-2:] == [SpeechStopped, Final]
        assert kinds.count(Final) == 1

    run_virtual(scenario())


def test_under_load_words_that_somebody_waits_for_are_the_only_ones() -> None:
    """One thread that takes 0.6 s: what three callers say to their end is all that it has time for."""

    async def scenario() -> None:
        stage = worker(Slow(0.6))
        await stage.start()
        hubs = await heard(stage, *[await stage.call() for _ in range(3)])
        await stage.stop()

        assert [[final.text for final in hub.of(Final) if isinstance(final, Final)] for hub in hubs] == [
            ["one two three"]
        ] * 3
        assert sum(len(hub.of(Partial)) for hub in hubs) <= 5  # of nine that there could be

    run_virtual(scenario())


def test_how_often_words_are_drafted_has_its_limits() -> None:
    async def scenario() -> None:
        with pytest.raises(BadSettings, match=r"TRUNKLINE_STT_PARTIALS_S.*0 for none, or 0.3 to 10.0"):
            SttService(worker().stt, SttSettings(engine_stt="scripted", stt_partials_s=0.1))

    run_virtual(scenario())
