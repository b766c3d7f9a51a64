"""Workers that die under a response, clients that leave or read slowly, and gateways that are full or drain."""

import asyncio

import pytest

from gateway.generating import DONE, Asker, asking, kinds, read_events
from gateway.scene import Session, Worker, settle
from trunkline.gateway.apis import presence, streaming
from trunkline.proto.generation import GeneratedText
from trunkline.proto.placement import CallFailed, Declined

HALF = GeneratedText("It is ", "final_answer")
REST = GeneratedText("sunny.", "final_answer")


async def second_worker(asker: Asker) -> Worker:
    worker = asker.server.scene.make("agent")
    worker._react = asker.mind.react
    await worker.start()
    await settle(0.2)
    return worker


def test_a_worker_that_dies_before_its_first_word_is_followed_by_another() -> None:
    async def scenario(asker: Asker) -> None:
        other = await second_worker(asker)
        asker.mind.silent = True
        asked = asyncio.create_task(asker.events())
        await asker.mind.asked.wait()
        asker.mind.silent = False
        first, second = sorted((asker.worker, other), key=lambda worker: not worker.sessions)
        await first.kill()
        events = await asked

        assert second.sessions
        assert kinds(events)[-1] == "completed"
        assert kinds(events).count("created") == 1
        assert len(asker.mind.prompts) == 2

    asking(scenario)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_worker_said_before_it_was_lost_is_never_mixed_with_anothers(streamed: bool) -> None:
    async def scenario(asker: Asker) -> None:
        other = await second_worker(asker)
        asker.mind.silent = True
        asked = asyncio.create_task(asker.events() if streamed else asker.ask())  # type: ignore[arg-type]
        await asker.mind.asked.wait()
        asker.mind.silent = False
        first = next(worker for worker in (asker.worker, other) if worker.sessions)
        first.last.say(HALF)
        await settle(0.2)
        first.last.say(CallFailed("the model broke"))
        outcome = await asked

        if streamed:
            assert isinstance(outcome, list)
            failed = outcome[-1]
            assert failed["type"] == "response.failed"
            assert failed["response"]["error"]["code"] == "server_error"
            assert [event["delta"] for event in outcome if "delta" in event] == ["It is "]
        else:
            assert isinstance(outcome, dict)
            assert outcome["output"][0]["content"][0]["text"] == "Fine."

    asking(scenario)


def test_a_stream_that_was_cut_ends_at_once_though_nobody_else_is_there() -> None:
    async def scenario(asker: Asker) -> None:
        asker.mind.silent = True
        asked = asyncio.create_task(asker.events())
        await asker.mind.asked.wait()
        asker.worker.last.say(HALF)
        await settle(0.2)
        await asker.worker.kill()
        killed_s = asyncio.get_running_loop().time()
        events = await asked

        assert events[-1]["type"] == "response.failed"
        assert asyncio.get_running_loop().time() - killed_s < 2.0

    asking(scenario)


def test_a_request_that_loses_every_worker_is_over() -> None:
    async def scenario(asker: Asker) -> None:
        def break_down(session: Session, message: object) -> None:
            session.say(CallFailed("no model"))

        asker.worker._react = break_down
        error = await asker.refused(status=503)

        assert error["code"] == "overloaded"
        assert 2 <= len(asker.worker.sessions) <= 4

    asking(scenario)


def test_no_room_at_any_agent_is_told_before_anything_else() -> None:
    async def scenario(asker: Asker) -> None:
        asker.worker.declines = Declined("full", "", 3.0)
        for streamed in (False, True):
            body = {"model": "gpt-5.5", "input": "Hello", "stream": streamed}
            headers = {"Authorization": "Bearer sk-test"}
            async with asker.server.client.post("/v1/responses", json=body, headers=headers) as answer:
                error = (await answer.json())["error"]

                assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
                assert (error["code"], error["type"]) == ("overloaded", "server_error")

    asking(scenario)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_stops_the_model(streamed: bool) -> None:
    async def scenario(asker: Asker) -> None:
        asker.mind.silent = True
        asked = asyncio.create_task(asker.events() if streamed else asker.ask())  # type: ignore[arg-type]
        await asker.mind.asked.wait()
        session = asker.worker.last
        session.say(HALF)
        await settle(0.2)
        asked.cancel()
        await settle(presence.LOOK_S * 3)

        assert session.closed == "answered"
        assert len(asker.server.service._calls.requests) == 0

    asking(scenario)


def test_a_client_that_reads_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "READ_LIMIT_S", 2.0)

    async def scenario(asker: Asker) -> None:
        asker.mind.silent = True
        async with asker.stream() as answer:
            await asker.mind.asked.wait()
            session = asker.worker.last
            answer.connection.transport.pause_reading()
            for _ in range(40):
                session.say(GeneratedText("a" * 400_000, "final_answer"))
                await settle(1.0)
                if session.closed:
                    break

            assert session.closed == "answered"
            assert len(asker.server.service._calls.requests) == 0

    asking(scenario)


def test_deltas_that_wait_for_a_slow_reader_become_one() -> None:
    async def scenario(asker: Asker) -> None:
        events = await asker.events()

        assert [event["delta"] for event in events if "delta" in event] == ["ab" * 50]

    asking(scenario, [*[GeneratedText("a" if n % 2 == 0 else "b", "final_answer") for n in range(100)], DONE])


def test_a_model_that_falls_silent_is_asked_elsewhere() -> None:
    async def scenario(asker: Asker) -> None:
        asker.mind.silent = True
        asked = asyncio.create_task(asker.ask())
        await asker.mind.asked.wait()
        other = await second_worker(asker)
        asker.mind.silent = False
        response = await asked

        assert response["status"] == "completed"
        assert len(other.sessions) == 1

    asking(scenario)


def test_a_drained_gateway_takes_no_request_and_ends_those_it_has() -> None:
    async def scenario(asker: Asker) -> None:
        asker.mind.silent = True
        async with asker.stream() as answer:
            await asker.mind.asked.wait()
            drained = asyncio.create_task(asker.server.service._calls.drain(30.0))
            await settle()
            error = await asker.refused(status=503)
            for said in (HALF, REST, DONE):
                asker.worker.last.say(said)
            events = read_events(await answer.text())
            await drained

        assert "draining" in error["message"]
        assert kinds(events)[-1] == "completed"

    asking(scenario)


def test_a_fault_of_the_gateway_ends_the_stream_in_the_vendors_way() -> None:
    async def scenario(asker: Asker) -> None:
        asker.mind.silent = True
        async with asker.stream() as answer:
            await asker.mind.asked.wait()
            (request,) = asker.server.service._calls.requests
            request.fail(RuntimeError("a bug"))
            events = read_events(await answer.text())

        assert events[-1]["response"]["error"] == {
            "code": "server_error",
            "message": "the answer broke off: a fault of the gateway",
        }

    asking(scenario)
