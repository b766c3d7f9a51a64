"""Asking an endpoint over sockets: timeouts, asking again, asking elsewhere, going away. On virtual time."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence

import msgspec
import pytest

from agent.endpoint.stand_in import ASKED, KEY, Cut, Hang, Pause, Reply, StandIn, events_of, refusal
from agent.endpoint.streams import Answer, chat, chat_sse, sse
from agent.scene import Scene
from support.virtual import run_over_sockets
from trunkline.agent.models.endpoint import sse as sse_module
from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.agent.models.seam import ModelEvent, RoundDone, TextDelta
from trunkline.agent.round import MODEL_IDLE_S
from trunkline.agents import ModelSettings

HELLO = sse(Answer().message("Hello there.", "final_answer").completed())
CHAT_HELLO = chat_sse(chat("Hello there."))
BEGUN = sse(Answer().message("Once upon a time", "final_answer").events[:5])  # to the first delta
TOLD = [TextDelta("Hello", "final_answer"), TextDelta(" there.", "final_answer")]
ENGINES = [("responses", HELLO), ("chat", CHAT_HELLO)]


def text_of(events: Sequence[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def refused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def failure_of(*replies: bytes | Reply, engine: str = "responses", **settings: object) -> tuple[EndpointFailed, int]:
    """What a round ends in, and how often the endpoint was asked."""

    async def main() -> tuple[EndpointFailed, int]:
        async with StandIn(*replies) as endpoint:
            with pytest.raises(EndpointFailed) as failed:
                await events_of(endpoint.model(engine, **settings))
            return failed.value, len(endpoint.asked)

    return run_over_sockets(main())


def answer_of(*replies: bytes | Reply, **settings: object) -> tuple[list[ModelEvent], StandIn]:
    async def main() -> tuple[list[ModelEvent], StandIn]:
        async with StandIn(*replies) as endpoint:
            return await events_of(endpoint.model(**settings)), endpoint

    return run_over_sockets(main())


@pytest.mark.parametrize(("engine", "answer"), ENGINES)
def test_words_stream_and_the_round_ends_with_its_tokens(engine: str, answer: bytes) -> None:
    async def main() -> list[ModelEvent]:
        async with StandIn(answer) as endpoint:
            return await events_of(endpoint.model(engine))

    events = run_over_sockets(main())

    assert text_of(events) == "Hello there."
    assert events[-1] == RoundDone(75, 12, 64, 4, "", "gpt-5.5")


@pytest.mark.parametrize("end_after_s", [0.0, 0.1])
def test_two_rounds_go_over_one_connection(end_after_s: float) -> None:
    async def main() -> list[str]:
        async with StandIn(Reply((HELLO, Pause(end_after_s)))) as endpoint:
            model = endpoint.model()
            await events_of(model)
            await events_of(model)
            return [asked.peer for asked in endpoint.asked]

    first, second = run_over_sockets(main())

    assert first == second


def test_two_rounds_at_a_time_have_a_connection_each() -> None:
    async def main() -> set[str]:
        async with StandIn(Reply((Pause(1.0), HELLO))) as endpoint:
            model = endpoint.model()
            await asyncio.gather(events_of(model), events_of(model))
            return {asked.peer for asked in endpoint.asked}

    assert len(run_over_sockets(main())) == 2


@pytest.mark.parametrize("steps", [(BEGUN, Hang()), (Hang(),)], ids=["mid-answer", "before the answer"])
def test_a_round_that_is_cancelled_is_seen_at_the_endpoint_at_once(steps: tuple[bytes | Hang, ...]) -> None:
    async def main() -> float:
        async with StandIn(Reply(steps)) as endpoint:
            round_ = asyncio.create_task(events_of(endpoint.model()))
            await asyncio.sleep(0.5)
            began_s = asyncio.get_running_loop().time()
            round_.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await round_
            await endpoint.left.wait()
            return asyncio.get_running_loop().time() - began_s

    assert run_over_sockets(main()) < 0.2


def test_a_round_that_is_closed_is_seen_at_the_endpoint_at_once() -> None:
    async def main() -> float:
        async with StandIn(Reply((BEGUN, Hang()))) as endpoint:
            stream = endpoint.model().respond(ASKED)
            await anext(stream)
            began_s = asyncio.get_running_loop().time()
            await stream.aclose()
            await endpoint.left.wait()
            return asyncio.get_running_loop().time() - began_s

    assert run_over_sockets(main()) < 0.2


# asking again


def test_too_many_requests_are_asked_again_when_the_endpoint_says() -> None:
    events, endpoint = answer_of(refusal(429, "Slow down.", "rate_limit_exceeded", Retry_After="2"), HELLO)

    first, second = endpoint.asked
    assert text_of(events) == "Hello there."
    assert 2.0 <= second.at_s - first.at_s < 2.5


def test_nobody_waits_for_an_endpoint_longer_than_a_caller_would() -> None:
    failed, asked = failure_of(refusal(429, "Come back tomorrow.", Retry_After="86400"))

    assert asked == 1
    assert failed.retry_after_s == 86_400
    assert str(failed).endswith("429 invalid_request_error: Come back tomorrow.")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_what_may_pass_is_asked_again(status: int) -> None:
    events, endpoint = answer_of(refusal(status, "Oops."), refusal(status, "Oops."), HELLO)

    assert text_of(events) == "Hello there."
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_will_not_pass_is_asked_once(status: int) -> None:
    failed, asked = failure_of(refusal(status, "No."))

    assert (failed.status, failed.retryable, asked) == (status, False, 1)


def test_asking_again_has_a_bound() -> None:
    failed, asked = failure_of(refusal(503, "Down."), model_retries=4)

    assert asked == 5
    assert str(failed).startswith("gpt-5.5 at 127.0.0.1:")


def test_an_exhausted_quota_is_not_asked_again() -> None:
    failed, asked = failure_of(refusal(429, "You exceeded your current quota.", "insufficient_quota"))

    assert (failed.code, failed.retryable, failed.elsewhere, asked) == ("insufficient_quota", False, True, 1)


def test_an_error_within_the_stream_before_its_first_word_is_asked_again() -> None:
    events, endpoint = answer_of(sse(Answer().failed("server_error", "Oops.")), HELLO)

    assert text_of(events) == "Hello there."
    assert len(endpoint.asked) == 2


def test_a_connection_that_breaks_before_the_first_word_is_asked_again() -> None:
    events, endpoint = answer_of(Reply((Cut(),)), Reply((sse(Answer().events), Cut())), HELLO)

    assert text_of(events) == "Hello there."
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ((BEGUN, Cut()), "the connection broke in mid-answer"),
        ((BEGUN,), "the stream ended before the answer was over"),
        ((BEGUN, b"data: {\"type\"\n\n"), "sent what can't be read"),
        ((BEGUN, sse(Answer().error("server_error", "Oops."))), "server_error: Oops."),
        ((BEGUN, sse(Answer().failed("rate_limit_exceeded", "Slow down."))), "rate_limit_exceeded: Slow down."),
        ((BEGUN, b'event: error\ndata: {"error":{"code":500,"message":"Out of memory."}}\n\n'), "500: Out of memory."),
        ((BEGUN, Hang()), "nothing for 15 s in mid-answer"),
    ],
)  # fmt: skip
def test_after_the_first_word_nothing_is_asked_again(steps: tuple[bytes | Hang | Cut, ...], problem: str) -> None:
    async def main() -> tuple[list[ModelEvent], str, int]:
        async with StandIn(Reply(steps), HELLO) as endpoint:
            events: list[ModelEvent] = []
            model = endpoint.model(model_fallbacks="other")
            with pytest.raises(EndpointFailed) as failed:  # noqa: PT012  # what came before it counts, too
                async for event in model.respond(ASKED):
                    events.append(event)
            return events, str(failed.value), len(endpoint.asked)

    events, said, asked = run_over_sockets(main())

    assert events == [TextDelta("Once", "final_answer")]
    assert problem in said
    assert asked == 1


# asking elsewhere


def test_an_endpoint_that_fails_is_followed_by_the_next() -> None:
    async def main() -> tuple[list[ModelEvent], list[str], list[str]]:
        async with StandIn(refusal(500, "Oops.")) as broken, StandIn(HELLO) as other:
            model = broken.model(model_retries=1, model_fallbacks=f"gpt-4.1, {other.url}|local-8b")
            events = await events_of(model)
            return events, [one.body["model"] for one in broken.asked], [one.body["model"] for one in other.asked]

    events, broken, other = run_over_sockets(main())

    assert text_of(events) == "Hello there."
    assert broken == ["gpt-5.5", "gpt-5.5", "gpt-4.1", "gpt-4.1"]
    assert other == ["local-8b"]
    assert events[-1] == RoundDone(75, 12, 64, 4, "", "local-8b")


def test_an_endpoint_that_nobody_listens_at_is_followed_by_the_next() -> None:
    async def main() -> list[ModelEvent]:
        async with StandIn(HELLO) as other:
            url = f"http://127.0.0.1:{refused_port()}/v1"
            return await events_of(other.model(model_url=url, model_fallbacks=f"{other.url}|local-8b"))

    assert text_of(run_over_sockets(main())) == "Hello there."


def test_an_endpoint_that_failed_is_asked_last_for_a_while() -> None:
    async def main() -> tuple[int, int]:
        async with StandIn(refusal(500, "Oops."), HELLO) as broken, StandIn(HELLO) as other:
            model = broken.model(model_retries=0, model_fallbacks=f"{other.url}|local-8b")
            for _ in range(3):
                await events_of(model)
            await asyncio.sleep(60.0)
            await events_of(model)
            return len(broken.asked), len(other.asked)

    assert run_over_sockets(main()) == (2, 3)


def test_a_bad_request_is_not_asked_elsewhere() -> None:
    async def main() -> tuple[int, int]:
        async with StandIn(refusal(400, "Bad.")) as first, StandIn(HELLO) as other:
            with pytest.raises(EndpointFailed):
                await events_of(first.model(model_fallbacks=f"{other.url}|local-8b"))
            return len(first.asked), len(other.asked)

    assert run_over_sockets(main()) == (1, 0)


def test_a_key_goes_to_the_host_that_it_is_for() -> None:
    async def main() -> list[str]:
        async with StandIn(refusal(401, "No.")) as first, StandIn(refusal(401, "No.")) as second:
            for fallback_key in ("", "sk-other"):
                with pytest.raises(EndpointFailed):
                    await events_of(first.model(model_fallbacks=f"{second.url}|b", model_fallback_key=fallback_key))
            return [asked.headers.get("Authorization", "") for asked in [*first.asked, *second.asked]]

    assert run_over_sockets(main()) == [f"Bearer {KEY}", f"Bearer {KEY}", "", "Bearer sk-other"]


# time


@pytest.mark.parametrize("steps", [(Hang(),), (sse(Answer().events), Hang())], ids=["no head", "no word"])
def test_a_first_word_that_does_not_come_is_not_waited_for(steps: tuple[bytes | Hang, ...]) -> None:
    async def main() -> tuple[EndpointFailed, float]:
        async with StandIn(Reply(steps)) as endpoint:
            began_s = asyncio.get_running_loop().time()
            with pytest.raises(EndpointFailed) as failed:
                await events_of(endpoint.model(model_first_token_s=4.0))
            return failed.value, asyncio.get_running_loop().time() - began_s

    failed, took_s = run_over_sockets(main())

    assert "no first token within 4 s" in str(failed)
    assert failed.code == "timeout"
    assert 4.0 <= took_s < 4.5


def test_all_attempts_together_end_before_the_agent_gives_the_model_up() -> None:
    async def main() -> float:
        async with StandIn(Reply((Hang(),))) as endpoint:
            began_s = asyncio.get_running_loop().time()
            with pytest.raises(EndpointFailed):
                await events_of(endpoint.model(model_fallbacks="a,b,c,d"))
            return asyncio.get_running_loop().time() - began_s

    assert 24.0 <= run_over_sockets(main()) < MODEL_IDLE_S - 1.0


def test_a_slow_listener_costs_the_endpoint_nothing() -> None:
    async def main() -> str:
        steps = sse(Answer().message("Once upon a time", "final_answer").completed()).split(b"\n\n")
        pieces = [piece for step in steps[:-1] for piece in (step + b"\n\n", Pause(0.5))]
        async with StandIn(Reply(tuple(pieces))) as endpoint:
            told = []
            async for event in endpoint.model(model_idle_s=1.0).respond(ASKED):
                told.append(event)
                await asyncio.sleep(3.0)
            return text_of(told)

    assert run_over_sockets(main()) == "Once upon a time"


def test_comments_that_keep_a_connection_alive_are_no_answer() -> None:
    async def main() -> float:
        beats = tuple(step for _ in range(50) for step in (b": ping\n\n", Pause(1.0)))
        async with StandIn(Reply((BEGUN, *beats))) as endpoint:
            began_s = asyncio.get_running_loop().time()
            with pytest.raises(EndpointFailed, match="nothing for 5 s"):
                await events_of(endpoint.model(model_idle_s=5.0))
            return asyncio.get_running_loop().time() - began_s

    assert 4.5 <= run_over_sockets(main()) < 6.0


# what is no answer


@pytest.mark.parametrize("engine", ["responses", "chat"])
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply((b"<html>502 Bad Gateway</html>",), 502, {}, "text/html"), "502: answered with an HTML page"),
        (Reply((b"<html>Welcome!</html>",), 200, {}, "text/html"), "TRUNKLINE_MODEL_URL"),
        (Reply((b'{"object":"response"}',), 200, {}, "application/json"), "instead of events"),
        (Reply((b"",), 307, {"Location": "/v1/other"}), "307: redirects"),
        (Reply((b'{"error":"model is loading"}',), 503, {}, "application/json"), "503: model is loading"),
        (Reply((b'{"detail":"Not Found"}',), 404, {}, "application/json"), "404: Not Found"),
        (Reply((b'{"error":{"message":"Too long.","code":400}}',), 400, {}, "application/json"), "400: Too long."),
        (Reply((b"upstream connect error",), 503, {}, "text/plain"), "503: answered with text/plain"),
        (Reply((b"hello\n\n",)), "the stream ended before the answer was over"),
        (Reply((b"",)), "the stream ended before the answer was over"),
        (Reply((b"data: {\n\n",)), "sent what can't be read"),
        (Reply((b"data: []\n\n",)), "sent what can't be read"),
        (Reply((b'data: {"error":{"message":"No GPU."}}\n\n',)), "No GPU."),
    ],
)
def test_what_is_no_answer_is_said_in_one_line(engine: str, reply: Reply, said: str) -> None:
    failed, _ = failure_of(reply, engine=engine, model_retries=0)

    assert said in str(failed)
    assert "\n" not in str(failed)
    assert len(str(failed)) < 400


def test_an_event_without_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_module, "EVENT_LIMIT_BYTES", 100_000)
    failed, _ = failure_of(Reply((b"data: " + b"x" * 200_000, Hang())))

    assert "an event is longer than 100000 bytes" in str(failed)


def test_a_refused_phase_names_the_setting() -> None:
    failed, asked = failure_of(refusal(400, "Unknown parameter: 'input[1].phase'.", "unknown_parameter"))

    assert asked == 1
    assert str(failed).endswith("if this endpoint knows no phase, set TRUNKLINE_MODEL_PHASE=omit")


# secrets


@pytest.mark.parametrize("engine", ["responses", "chat"])
def test_the_key_is_in_no_error_and_no_log(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    stream = f'data: {{"error":{{"message":"{KEY} is blocked","code":"{KEY}"}}}}\n\n'.encode()
    with caplog.at_level(logging.DEBUG):
        refused, _ = failure_of(refusal(401, f"Incorrect API key provided: {KEY}.", KEY), engine=engine)
        broken, _ = failure_of(Reply((stream,)), engine=engine)
        unreachable, _ = failure_of(HELLO, engine=engine, model_url=f"http://127.0.0.1:{refused_port()}/v1")

    assert "Incorrect API key provided: [key]." in str(refused)
    for error in (refused, broken, unreachable):
        assert KEY not in f"{error}{error!r}{error.__dict__}"
    assert len(caplog.records) >= 3
    assert not any(KEY in f"{record.getMessage()}{record.__dict__}" for record in caplog.records)


def test_a_closed_model_has_no_connection_left() -> None:
    async def main() -> int:
        async with StandIn(HELLO) as endpoint:
            model = endpoint.model()
            await events_of(model)
            await model.close()
            await asyncio.sleep(0.1)
            return len(endpoint._runner.server.connections)  # type: ignore[union-attr]  # it runs

    assert run_over_sockets(main()) == 0


def test_a_model_is_closed_with_its_service() -> None:
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    async def main() -> None:
        async with Scene() as scene:
            scene.model.close = close  # type: ignore[method-assign]  # to see it

    run_over_sockets(main())

    assert closed == [True]


@pytest.mark.parametrize(
    ("engine", "refused", "wishes"),
    [
        ("responses", refusal(400, "Unsupported parameter.", param="reasoning.effort"), {"reasoning", "text"}),
        ("responses", refusal(400, "Unsupported value: 'low'.", param="text.verbosity"), {"reasoning", "text"}),
        ("chat", refusal(422, "reasoning_effort: extra fields not permitted"), {"reasoning_effort", "verbosity"}),
    ],
)
def test_an_endpoint_that_knows_no_effort_is_asked_without_and_stays_so(
    engine: str, refused: Reply, wishes: set[str]
) -> None:
    answer = dict(ENGINES)[engine]
    settings = ModelSettings(reasoning_effort="none", verbosity="low", temperature=0.5)

    async def main() -> tuple[list[str], StandIn]:
        async with StandIn(refused, answer) as endpoint:
            model = endpoint.model(engine, model_retries=0)
            request = msgspec.structs.replace(ASKED, settings=settings)
            return [text_of(await events_of(model, request)) for _ in range(2)], endpoint

    told, endpoint = run_over_sockets(main())

    assert told == ["Hello there."] * 2
    assert [wishes & set(asked.body) for asked in endpoint.asked] == [wishes, set(), set()]
    assert all(asked.body["temperature"] == 0.5 for asked in endpoint.asked)


def test_what_else_an_endpoint_refuses_it_is_not_asked_twice() -> None:
    error, asked = failure_of(refusal(400, "no reasoning here"))

    assert (error.status, asked) == (400, 1)
