"""An endpoint that fails again and again is left alone: who asks next is told at once, and the caller hears it."""

import asyncio
import contextlib

import msgspec
import pytest
from prometheus_client import REGISTRY

from agent.endpoint.stand_in import ASKED, Hang, Pause, Reply, StandIn, events_of, refusal
from agent.endpoint.streams import Answer, sse
from agent.scene import Scene
from support.virtual import run_over_sockets
from trunkline.agent.generation_failures import failure_of
from trunkline.agent.models.endpoint import engine
from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.agent.models.pictures import Pictures
from trunkline.agent.models.seam import Model
from trunkline.agents.agent import APOLOGY

HELLO = sse(Answer().message("Hello there.", "final_answer").completed())
TWICE = {"breaker_failures": 2, "breaker_rest_s": 10.0, "model_retries": 0, "model_first_token_s": 5.0}
DOWN = refusal(503, "down for repairs")


async def fail(model: Model, times: int) -> EndpointFailed:
    for _ in range(times):
        with pytest.raises(EndpointFailed) as failed:
            await events_of(model)
    return failed.value


def now_s() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("reply", [DOWN, Reply((Hang(),))])
def test_after_failures_or_timeouts_in_a_row_nobody_waits_for_it_until_one_has_tried(reply: Reply) -> None:
    async def main() -> None:
        async with StandIn(reply, reply, HELLO) as endpoint:
            model = endpoint.model(**TWICE)
            await fail(model, 2)
            began_s = now_s()
            left_alone = await fail(model, 3)

            assert (left_alone.code, len(endpoint.asked)) == ("left_alone", 2)
            assert now_s() - began_s < 0.1
            await asyncio.sleep(10.0)
            assert await events_of(model)
            assert await events_of(model)
            assert len(endpoint.asked) == 4

    run_over_sockets(main())


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_the_request_is_to_blame_for_leaves_no_endpoint_alone(status: int) -> None:
    async def main() -> None:
        async with StandIn(refusal(status, "no such thing")) as endpoint:
            model = endpoint.model(**TWICE)
            await fail(model, 5)

            assert len(endpoint.asked) == 5

    run_over_sockets(main())


def test_a_fallback_answers_while_the_first_is_left_alone() -> None:
    async def main() -> None:
        async with StandIn(DOWN) as first, StandIn(HELLO) as second:
            model = first.model(**TWICE, model_fallbacks=f"{second.url}|other")
            for _ in range(5):
                assert await events_of(model)

            assert len(first.asked) <= 2
            assert len(second.asked) == 5

    run_over_sockets(main())


def test_who_gives_up_a_try_leaves_it_to_the_next() -> None:
    async def main() -> None:
        async with StandIn(DOWN, DOWN, Reply((Hang(),)), HELLO) as endpoint:
            model = endpoint.model(**TWICE)
            await fail(model, 2)
            await asyncio.sleep(10.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await events_of(model)

            assert await events_of(model)

    run_over_sockets(main())


def test_a_fallback_that_was_left_little_of_the_time_is_not_to_blame_for_running_out_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "OPENING_S", 6.5)

    async def main() -> None:
        slowly = Reply((Pause(3.0), HELLO))
        async with StandIn(Reply((Hang(),))) as first, StandIn(slowly) as second:
            model = first.model(**TWICE | {"breaker_failures": 1}, model_fallbacks=f"{second.url}|other")
            failed = await fail(model, 1)

            assert (failed.code, len(first.asked), len(second.asked)) == ("timeout", 1, 1)
            assert await events_of(model)
            assert (len(first.asked), len(second.asked)) == (1, 2)

    run_over_sockets(main())


def test_who_gives_up_before_the_try_has_begun_leaves_it_to_the_next_too(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = Pictures.prepare
    waiting = asyncio.Event()

    async def wait(*given: object) -> dict[str, object]:
        waiting.set()
        return await asyncio.Future()

    async def main() -> None:
        async with StandIn(DOWN, DOWN, HELLO) as endpoint:
            model = endpoint.model(**TWICE)
            await fail(model, 2)
            await asyncio.sleep(10.0)
            monkeypatch.setattr(Pictures, "prepare", wait)
            trying = asyncio.create_task(events_of(model))
            await waiting.wait()
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
            monkeypatch.setattr(Pictures, "prepare", prepare)

            assert await events_of(model)

    run_over_sockets(main())


def test_no_words_of_a_client_become_a_label() -> None:
    async def main() -> None:
        async with StandIn(DOWN) as endpoint:
            model = endpoint.model(**TWICE)
            counted = [failures_of(name) for name in ("gpt-5.5", "other")]
            await fail(model, 1)
            with pytest.raises(EndpointFailed):
                async for _ in model.respond(msgspec.structs.replace(ASKED, model="whatever a client says")):
                    pass

            assert [failures_of(name) for name in ("gpt-5.5", "other")] == [count + 1 for count in counted]
            assert failures_of("whatever a client says") == 0

    run_over_sockets(main())


def failures_of(model: str) -> float:
    labels = {"model": model, "reason": "answer"}
    return REGISTRY.get_sample_value("trunkline_agent_endpoint_failures_total", labels) or 0.0


def test_a_caller_hears_the_apology_at_once_and_a_request_is_told_without_a_host() -> None:
    async def main() -> None:
        async with StandIn(Reply((Hang(),))) as endpoint:
            model = endpoint.model(**TWICE)
            failure = await fail(model, 3)
            async with Scene(model=model) as scene:
                await scene.place()
                began_s = now_s()
                scene.says("Hello?")
                while not scene.finished:  # noqa: ASYNC110  # a gateway that takes notes
                    await asyncio.sleep(0.01)

                assert now_s() - began_s < 1.0
                assert "".join(scene.said) == APOLOGY
                assert scene.finished[0].status == "failed"
            assert failure_of(failure).message == "the model can't be had at the moment"

    run_over_sockets(main())
