"""Calls go before what is patient: they have threads of their own."""

import asyncio
import threading

import pytest

from stt.test_service import LISTEN, Stage, first_of, says_something, staged
from trunkline.audio.pcm import Floats
from trunkline.proto.speech import Final, Listen, TurnRules
from trunkline.stt import service
from trunkline.stt.engines.choose import Engine
from trunkline.stt.settings import SttSettings
from trunkline.stt.vad import Loudness


class Gate:
    """Whoever comes first waits until it is opened."""

    name = "gate"

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def warm(self) -> None:
        """Nothing to load."""

    def recognise(self, pcm: Floats, utterance: int) -> str:
        if not self.entered.is_set():
            self.entered.set()
            self.opened.wait(10.0)
            return "in the end"
        return "at once"


def test_a_calls_words_do_not_wait_for_a_request_that_is_being_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(service, "choose", lambda *_: Engine(gate, Loudness()))

    async def scenario(stage: Stage) -> None:
        request, written = stage.place("req_a", Listen(1, 0, TurnRules(), patient=True))
        await says_something(request)
        await asyncio.to_thread(gate.entered.wait, 10.0)
        call, heard = stage.place("rtc_00_a", LISTEN)
        await says_something(call)

        final, _ = await first_of(heard, Final)

        assert isinstance(final, Final)
        assert final.text == "at once"
        gate.opened.set()
        final, _ = await first_of(written, Final)
        assert isinstance(final, Final)
        assert final.text == "in the end"

    staged(scenario, SttSettings(engine_stt="gate", stt_threads=1, capacity=2))
