"""What a caller of chaos tells of his turns, whatever becomes of the call meanwhile."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import cast

from support.virtual import run_virtual
from trunkline.cli.chaos import scene
from trunkline.cli.chaos.callers import Phone, Talk
from trunkline.cli.chaos.evidence import Said
from trunkline.client import Call, ServerEvent
from trunkline.client.events import Response

GOODBYE = next(turn for turn, kind in enumerate(scene.KINDS, 1) if kind.cut and kind.ends)
CUT = next(turn for turn, kind in enumerate(scene.KINDS, 1) if kind.cut and not kind.ends)


class Quiet:
    """A call that takes audio and of which nothing else comes."""

    resumed = 0
    gaps_s: tuple[float, ...] = ()

    def append_audio(self, audio: bytes) -> None: ...


def told_of(turn: int, then: Callable[[Phone], None]) -> list[Said]:
    """The caller says this turn and means to cut its answer; what happens then."""

    async def main() -> list[Said]:
        phone = Phone(cast(Call, Quiet()))
        talk = Talk(phone, 3, 1, random.Random(1))
        taking = asyncio.create_task(talk.take_turn(turn, last=False))
        while not talk.account("closed").said:
            await asyncio.sleep(0.04)
            phone.tick()
        then(phone)
        phone.changed.set()
        await taking
        return talk.account("closed").said

    return run_virtual(main())


def hang_up(phone: Phone) -> None:
    phone.over = True


def answer_and_hang_up(phone: Phone) -> None:
    answer(phone, time.time())
    hang_up(phone)


def answer(phone: Phone, now_s: float) -> None:
    phone.ear.on_event(ServerEvent("response.created", response=Response("resp_1")), now_s)
    audio = ServerEvent("response.output_audio.delta", response_id="resp_1", item_id="item_1", samples=24_000)
    phone.ear.on_event(audio, now_s)


def test_a_goodbye_that_ends_the_call_before_the_caller_speaks_over_it_was_an_answer() -> None:
    (said,) = told_of(GOODBYE, answer_and_hang_up)

    assert said.answered_s >= said.ended_s > 0


def test_a_call_that_is_over_before_any_answer_has_left_the_caller_without_one() -> None:
    (said,) = told_of(GOODBYE, hang_up)

    assert said.answered_s == 0.0


def test_an_answer_that_should_not_have_ended_the_call_is_none_when_it_is_over() -> None:
    (said,) = told_of(CUT, answer_and_hang_up)

    assert said.answered_s == 0.0
