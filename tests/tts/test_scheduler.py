"""Steps that wait for a thread, and not for ever."""

import asyncio
import threading

import numpy as np
import pytest

from trunkline.tts import scheduler as scheduling
from trunkline.tts.render import Rendered
from trunkline.tts.scheduler import Overdue, Priority, Scheduler


class Step:
    def __init__(self, go_on: threading.Event, due_s: float = 0.0) -> None:
        self.cancelled = False
        self.done = asyncio.Event()
        self.failure: BaseException | None = None
        self._go_on = go_on
        self._due_s = due_s

    def priority(self) -> Priority:
        return Priority(later=False, due_s=self._due_s)

    def step(self) -> Rendered:
        self._go_on.wait(5.0)
        return Rendered(np.zeros(0, dtype=np.int16), last=True)

    def stepped(self, rendered: Rendered) -> None:
        self.done.set()

    def failed(self, error: BaseException) -> None:
        self.failure = error
        self.done.set()


def test_a_step_that_no_thread_comes_free_for_fails_unless_it_is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "WAIT_LIMIT_S", 0.05)

    async def scenario(*, patient: bool) -> list[type | None]:
        go_on = threading.Event()
        scheduler = Scheduler(1, patient=patient)
        steps = [Step(go_on) for _ in range(3)]
        for step in steps:
            scheduler.add(step)
        await asyncio.sleep(0.2)
        go_on.set()
        for step in steps:
            await step.done.wait()
        assert scheduler.waiting == 0
        scheduler.close()
        return [type(step.failure) if step.failure else None for step in steps]

    assert asyncio.run(scenario(patient=False)) == [None, Overdue, Overdue]
    assert asyncio.run(scenario(patient=True)) == [None, None, None]


def test_a_call_that_has_audio_for_long_is_not_given_up_before_that_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "WAIT_LIMIT_S", 0.05)

    async def scenario() -> list[type | None]:
        go_on, now_s = threading.Event(), asyncio.get_running_loop().time()
        scheduler = Scheduler(1)
        steps = [Step(go_on, now_s + ahead_s) for ahead_s in (0.0, 0.01, 5.0)]
        for step in steps:
            scheduler.add(step)
        await asyncio.sleep(0.2)
        go_on.set()
        for step in steps:
            await step.done.wait()
        scheduler.close()
        return [type(step.failure) if step.failure else None for step in steps]

    assert asyncio.run(scenario()) == [None, Overdue, None]
