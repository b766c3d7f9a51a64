"""What an agent's guardrails come to: their order, their failures, and how long they may take."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from support.virtual import run_virtual
from trunkline.agent.policy import HUNG_LIMIT, HungJudges, Judged, Policy
from trunkline.agents import CallContext, Check, Guardrail, Verdict, allow, block, end, guardrail, hand_off, rewrite
from trunkline.agents.guardrail import SAFE_REPLY, Judge, On

CALL = CallContext("rtc_00_x", "desk")


def check(text: str = "hello", on: On = "output", tool: str = "") -> Check:
    return Check(on, text, CALL, tool)


def policy(*guardrails: Guardrail, hung: HungJudges | None = None) -> Policy:
    return Policy(guardrails, ("desk", "billing"), hung or HungJudges())


def inline(name: str, judge: Callable[[Check], object], on: On = "output", **others: object) -> Guardrail:
    return Guardrail(name, judge, (on,), inline=True, **others)  # type: ignore[arg-type]  # some judge badly on purpose


def judged(given: Policy, asked: Check | None = None) -> Judged:
    return asyncio.run(given.judge(asked or check()))


def finishes_at_once(given: Policy, asked: Check) -> bool:
    """Whether a judgement never suspends."""
    work = given.judge(asked)
    try:
        work.send(None)
    except StopIteration:
        return True
    work.close()
    return False


def test_a_text_that_nobody_looks_at_passes_without_suspending() -> None:
    nobody = policy(guardrail(on="input", name="g")(lambda _: block()))

    assert not nobody.looks("output")
    assert finishes_at_once(nobody, check())


def test_inline_guardrails_are_judged_without_suspending() -> None:
    assert finishes_at_once(policy(inline("g", lambda _: rewrite("x"))), check())


def test_each_sees_the_text_as_the_one_before_left_it() -> None:
    seen: list[str] = []
    first = inline("first", lambda one: rewrite(one.text + "!"))
    second = inline("second", lambda one: seen.append(one.text))
    third = inline("third", lambda one: rewrite(one.text.upper()))

    result = judged(policy(first, second, third))

    assert seen == ["hello!"]
    assert Judged("rewrite", "HELLO!", "", result.given) == result
    assert [one.guardrail for one in result.given] == ["first", "third"]


@pytest.mark.parametrize(
    ("verdict", "text", "to"),
    [(block("No."), "No.", ""), (hand_off("billing"), "", "billing"), (end("Bye."), "Bye.", "")],
)
def test_the_first_that_stops_the_text_has_the_last_word(verdict: Verdict, text: str, to: str) -> None:
    asked: list[str] = []

    result = judged(policy(inline("g", lambda _: verdict), inline("later", lambda one: asked.append(one.text))))

    assert (verdict.action, text, to) == (result.action, result.text, result.to)
    assert asked == []


def test_a_plain_function_runs_in_a_thread_and_an_asynchronous_one_in_the_loop() -> None:
    threads: list[threading.Thread] = []

    @guardrail
    def plain(_: Check) -> None:
        threads.append(threading.current_thread())

    @guardrail
    async def asynchronous(_: Check) -> Verdict:
        threads.append(threading.current_thread())
        return allow()

    result = judged(policy(plain, asynchronous))

    assert Judged("allow", "hello") == result
    assert threads[0] is not threading.main_thread()
    assert threads[1] is threading.main_thread()


def raising(_: Check) -> Verdict:
    raise ValueError("4111 1111 1111 1111 is no word")


async def raising_later(_: Check) -> Verdict:
    raise SystemExit(3)


@pytest.mark.parametrize("judge", [raising, raising_later])
def test_a_guardrail_that_raises_fails_closed_and_its_message_is_kept_from_the_record(judge: Judge) -> None:
    result = judged(policy(guardrail(reply="Not now.")(judge)))

    assert (result.action, result.text) == ("block", "Not now.")
    assert [one.failed for one in result.given] == [True]
    assert result.given[0].verdict.reason in ("failed: ValueError", "failed: SystemExit")


def test_a_guardrail_may_fail_open_and_that_is_told() -> None:
    result = judged(policy(guardrail(on_failure="allow")(raising)))

    assert (result.action, result.text) == ("allow", "hello")
    assert [(g, failed, v.reason) for g, v, failed in result.given] == [("raising", True, "failed: ValueError")]


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        ("no", "failed: it gave str, not a verdict"),
        (True, "failed: it gave bool, not a verdict"),
        (Verdict("forbid"), "failed: its action is unknown"),  # type: ignore[arg-type]  # that is the point
        (Verdict("rewrite", 7), "failed: its verdict holds something else than text"),  # type: ignore[arg-type]
        (hand_off("nobody"), "failed: 'nobody' is no other agent of the file"),
        (hand_off("desk"), "failed: 'desk' is no other agent of the file"),
    ],
)
def test_a_verdict_that_cannot_be_carried_out_is_a_failure(verdict: object, why: str) -> None:
    result = judged(policy(inline("g", lambda _: verdict)))

    assert (result.action, result.text) == ("block", SAFE_REPLY)
    assert [why] == [one.verdict.reason for one in result.given]


def test_a_plain_function_that_gives_a_coroutine_has_failed() -> None:
    async def real(_: Check) -> None:
        return None

    result = judged(policy(guardrail(name="g")(lambda one: real(one))))

    assert [one.verdict.reason for one in result.given] == ["failed: it gave coroutine, not a verdict"]


@pytest.mark.parametrize(
    ("on", "text", "action"),
    [
        ("tool_arguments", '{"order": "1234"}', "rewrite"),
        ("tool_arguments", '["1234"]', "block"),
        ("tool_arguments", "1234,", "block"),
        ("tool_result", '"late"', "rewrite"),
        ("tool_result", "late", "block"),
    ],
)
def test_what_is_written_over_arguments_and_results_is_json(on: On, text: str, action: str) -> None:
    result = judged(policy(inline("g", lambda _: rewrite(text), on)), check("{}", on, "look"))

    assert action == result.action


def test_rewritten_arguments_are_those_that_the_next_guardrail_reads() -> None:
    seen: list[object] = []
    first = inline("first", lambda _: rewrite('{"order": 7}'), "tool_arguments")
    second = inline("second", lambda one: seen.append(one.arguments["order"]), "tool_arguments")

    judged(policy(first, second), check('{"order": 1}', "tool_arguments", "look"))

    assert seen == [7]


def test_a_guardrail_of_some_tools_is_not_asked_about_others() -> None:
    refunds = guardrail(on="tool_arguments", name="g", tools=["refund"])(lambda _: block())

    assert policy(refunds).looks("tool_arguments", "refund")
    assert not policy(refunds).looks("tool_arguments", "look")


def test_parallel_guardrails_are_asked_apart_from_the_others() -> None:
    async def scenario() -> None:
        before = inline("before", lambda _: rewrite("b"), "input")
        beside = inline("beside", lambda _: rewrite("p"), "input", parallel=True)
        both = policy(before, beside)

        assert both.looks("input")
        assert both.looks("input", parallel=True)
        assert (await both.judge(check(on="input"))).text == "b"
        assert (await both.judge(check(on="input"), parallel=True)).text == "p"

    run_virtual(scenario())


def test_an_asynchronous_judge_that_is_late_has_failed_and_is_ended() -> None:
    ended: list[str] = []

    @guardrail(timeout_s=0.5)
    async def slow(_: Check) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("yes")

    async def scenario() -> None:
        hung, loop = HungJudges(), asyncio.get_running_loop()
        began_s = loop.time()
        result = await policy(slow, hung=hung).judge(check())

        assert loop.time() - began_s == 0.5
        assert [one.verdict.reason for one in result.given] == ["failed: no verdict within 0.5 s"]
        await hung.stop()
        assert ended == ["yes"]
        assert hung.count == 0

    run_virtual(scenario())


def test_a_judge_that_ignores_its_end_holds_nobody_up() -> None:
    release = asyncio.Event()

    @guardrail(timeout_s=0.5)
    async def stubborn(_: Check) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def scenario() -> None:
        hung = HungJudges()
        result = await policy(stubborn, hung=hung).judge(check())

        assert result.action == "block"
        assert hung.count == 1
        release.set()
        await hung.stop()
        assert hung.count == 0

    run_virtual(scenario())


def test_who_stops_waiting_for_a_verdict_ends_its_judge() -> None:
    @guardrail(timeout_s=10)
    async def slow(_: Check) -> None:
        await asyncio.sleep(5)

    async def scenario() -> None:
        hung = HungJudges()
        waiting = asyncio.create_task(policy(slow, hung=hung).judge(check()))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await hung.stop()

        assert waiting.cancelled()
        assert hung.count == 0

    run_virtual(scenario())


def test_hung_threads_are_given_up_and_with_too_many_no_other_is_started() -> None:
    release = threading.Event()
    started: list[str] = []

    @guardrail(timeout_s=0.01)
    def hangs(one: Check) -> None:
        started.append(one.text)
        release.wait()

    async def scenario() -> None:
        hung = HungJudges()
        blocked = [await policy(hangs, hung=hung).judge(check()) for _ in range(HUNG_LIMIT + 1)]

        assert {"block"} == {one.action for one in blocked}
        assert f"failed: {HUNG_LIMIT} guardrails hang already" == blocked[-1].given[0].verdict.reason
        assert HUNG_LIMIT == hung.count == len(started)
        release.set()
        for thread in threading.enumerate():
            if thread.name == "guardrail-hangs":
                thread.join()
        await asyncio.sleep(0.01)  # what the threads reported is taken in
        assert hung.count == 0

    asyncio.run(scenario())


def test_on_virtual_time_a_plain_judge_is_waited_for() -> None:
    @guardrail(timeout_s=0.5)
    def takes_a_moment(_: Check) -> Verdict:
        time.sleep(0.01)
        return rewrite("done")

    assert run_virtual(policy(takes_a_moment).judge(check())).text == "done"
