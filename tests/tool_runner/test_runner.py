"""The runner answers every order once, whatever the tool does."""

import asyncio
import json
import logging
import threading
import time
from typing import Annotated

import msgspec
import pytest

from support.virtual import run_virtual
from tool_runner.desk import AGENT, CALL, NOW_US, Desk, an_order, words
from trunkline.agents import ToolContext, tool
from trunkline.proto.tool import CancelTool, ToolDeclined, ToolProgress, ToolStarted
from trunkline.record import Attempt
from trunkline.tool_runner.admission import Limits


@tool
async def greet(name: str = "you") -> str:
    """Greet."""
    return f"Hello {name}."


@tool
def blocking_greet(context: ToolContext) -> dict[str, object]:
    """Greet from a thread."""
    return {"call": context.call_id, "key": context.idempotency_key, "main": in_main_thread()}


@tool
async def fail() -> None:
    """Raise."""
    raise LookupError("the shelf is empty")


@tool
async def leave() -> None:
    """Try to end the process."""
    raise SystemExit("leave")


@tool
def stop_iterating() -> None:
    """Raise what a future can't carry."""
    raise StopIteration


@tool(timeout_s=2.0)
async def hang() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


@tool(timeout_s=2.0, read_only=True)
async def look_for_ever() -> None:
    """Wait for ever, harmlessly."""
    await asyncio.Event().wait()


@tool(concurrency=1)
async def one_at_a_time(seconds: float) -> None:
    """Wait a while."""
    await asyncio.sleep(seconds)


@tool
async def number(digits: Annotated[str, msgspec.Meta(pattern=r"^\d{4}$")]) -> str:
    """Say a number."""
    return digits


@tool
async def visit(context: ToolContext, place: str) -> None:
    """Remember a place."""
    context.state["last"] = place
    context.state.pop("first", None)


@tool
async def unspeakable() -> object:
    """Return what JSON can't hold."""
    return object()


@tool
async def flood(size: int) -> str:
    """Return much."""
    return "x" * size


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def test_a_tool_is_started_then_answered_with_json_of_its_return_value() -> None:
    async def scenario() -> None:
        desk = Desk([greet])
        desk.send(an_order("greet", '{"name":"Ann"}'))

        result = await desk.result()

        assert desk.answers == [ToolStarted("call_1", "runner-1"), result]
        assert (result.status, result.output, result.state_patch) == ("ok", '"Hello Ann."', "{}")
        assert {subject for subject, _ in desk.posted} == {f"tl.v1.{AGENT}.{CALL}"}

    run_virtual(scenario())


def test_a_blocking_tool_runs_off_the_loop_with_its_context() -> None:
    async def scenario() -> None:
        desk = Desk([blocking_greet])
        desk.send(an_order("blocking_greet"))

        result = await desk.result()

        assert json.loads(result.output) == {"call": CALL, "key": "call_1", "main": False}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fail", "fail failed: LookupError: the shelf is empty"),
        ("leave", "leave failed: SystemExit: leave"),
        ("stop_iterating", "stop_iterating failed: StopIteration"),
    ],
)
def test_a_tool_that_raises_is_an_error_in_words_and_the_next_one_runs(
    name: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        desk = Desk([fail, leave, stop_iterating, greet])
        desk.send(an_order(name))
        failed = await desk.result()
        desk.send(an_order("greet", n=2))
        greeted = await desk.result(2)

        assert (failed.status, words(failed)) == ("error", said)
        assert greeted.status == "ok"

    with caplog.at_level(logging.WARNING, "trunkline"):
        asyncio.run(scenario())
    assert [record.message for record in caplog.records] == ["tool failed"]


def test_a_tool_that_hangs_is_answered_when_its_time_is_over() -> None:
    async def scenario() -> None:
        desk = Desk([hang])
        desk.send(an_order("hang"))

        result = await desk.result()

        assert result.status == "timeout"
        assert words(result) == "hang did not finish within 2 seconds; whether it took effect is not known."
        assert result.elapsed_ms == pytest.approx(2000)

    run_virtual(scenario())


def test_the_deadline_of_the_order_comes_before_the_time_of_the_tool() -> None:
    async def scenario() -> None:
        desk = Desk([look_for_ever])
        desk.send(an_order("look_for_ever", deadline_us=NOW_US + 500_000))

        result = await desk.result()

        assert words(result) == "look_for_ever did not finish within 0.5 seconds."
        assert result.elapsed_ms == pytest.approx(500)

    run_virtual(scenario())


def test_a_blocking_tool_that_hangs_is_given_up_and_too_many_of_them_make_the_runner_busy() -> None:
    release = threading.Event()

    @tool(timeout_s=5)
    def block() -> None:
        """Hang until the test is over."""
        release.wait(30)

    async def scenario() -> None:
        desk = Desk([block, greet])
        for n in (1, 2):
            desk.send(an_order("block", n=n))
            assert (await desk.result(n)).status == "timeout"
        desk.send(an_order("greet", n=3))
        assert desk.answers[-1] == ToolDeclined("call_3", "busy", "runner-1")

        release.set()
        for thread in threading.enumerate():
            if thread.name == "tool-block":
                thread.join()
        await asyncio.sleep(1)  # what the threads reported is taken in
        desk.send(an_order("greet", n=3))

        assert (await desk.result(3)).status == "ok"

    run_virtual(scenario())


def test_arguments_that_do_not_fit_never_reach_the_tool_and_say_what_is_allowed() -> None:
    async def scenario() -> None:
        desk = Desk([number])
        desk.send(an_order("number", '{"digits":"12"}'))

        result = await desk.result()

        assert result.status == "error"
        assert words(result).startswith("The arguments of number don't fit. digits: ")
        assert words(result).endswith(r"allowed: text that matches ^\d{4}$")

    run_virtual(scenario())


def test_a_type_of_the_tools_own_that_raises_is_an_error() -> None:
    class Place(msgspec.Struct):
        name: str

        def __post_init__(self) -> None:
            raise RuntimeError("no such place")

    def go(place: Place) -> None:
        """Go to a place."""

    async def scenario() -> None:
        desk = Desk([tool(go)])
        desk.send(an_order("go", '{"place":{"name":"Atlantis"}}'))

        result = await desk.result()

        assert (result.status, words(result)) == ("error", "go failed: RuntimeError: no such place")

    run_virtual(scenario())


def test_what_a_tool_changes_in_the_state_comes_back_as_a_patch() -> None:
    async def scenario() -> None:
        desk = Desk([visit])
        desk.send(an_order("visit", '{"place":"Rome"}', state='{"first":"Oslo","kept":1}'))

        result = await desk.result()

        assert json.loads(result.state_patch) == {"last": "Rome", "first": None}

    run_virtual(scenario())


def test_a_state_that_is_no_object_is_an_error() -> None:
    async def scenario() -> None:
        desk = Desk([visit])
        desk.send(an_order("visit", '{"place":"Rome"}', state="[]"))

        assert (await desk.result()).status == "error"

    run_virtual(scenario())


def test_a_return_value_that_json_cannot_hold_is_an_error_in_words() -> None:
    async def scenario() -> None:
        desk = Desk([unspeakable])
        desk.send(an_order("unspeakable"))

        result = await desk.result()

        assert result.status == "error"
        assert "is no JSON value" in words(result)

    run_virtual(scenario())


def test_a_result_over_the_limit_is_refused_by_its_size() -> None:
    async def scenario() -> None:
        desk = Desk([flood], result_limit_bytes=1000)
        desk.send(an_order("flood", '{"size":1000}'))

        result = await desk.result()

        assert words(result) == "flood ran, but its result of 1004 bytes is over the limit of 1000 bytes"

    run_virtual(scenario())


def test_an_order_that_comes_again_while_it_runs_is_not_run_twice_and_answers_the_last_to_ask() -> None:
    async def scenario() -> None:
        desk = Desk([one_at_a_time])
        order = an_order("one_at_a_time", '{"seconds":1}')
        desk.send(order)
        await asyncio.sleep(0.5)
        desk.send(order, sender="agent.agent-2")
        await desk.result()
        await asyncio.sleep(2)

        started = ToolStarted("call_1", "runner-1")
        assert desk.posted == [
            (f"tl.v1.agent.agent-1.{CALL}", started),
            (f"tl.v1.agent.agent-2.{CALL}", started),
            (f"tl.v1.agent.agent-2.{CALL}", desk.results[0]),
        ]

    run_virtual(scenario())


def test_an_order_that_comes_again_after_its_end_gets_the_same_result() -> None:
    async def scenario() -> None:
        desk = Desk([greet])
        desk.send(an_order("greet"))
        first = await desk.result()
        desk.runner.draining = True
        desk.send(an_order("greet"))

        assert desk.answers[-1] == first

    run_virtual(scenario())


def test_a_tool_that_has_begun_runs_to_its_end() -> None:
    @tool
    async def act() -> str:
        """Takes a while."""
        await asyncio.sleep(0.5)
        return "done"

    async def scenario() -> None:
        desk = Desk([act])
        desk.send(an_order("act"))
        await asyncio.sleep(0.25)
        desk.send(CancelTool("call_1"))

        assert (await desk.result()).status == "ok"

    run_virtual(scenario())


def test_a_tool_that_may_be_stopped_is_stopped_and_says_what_is_not_known() -> None:
    stopped = []

    @tool(cancel_on_interrupt=True)
    async def search() -> None:
        """Take for ever."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append("search")
            raise

    @tool(cancel_on_interrupt=True, read_only=True)
    async def look() -> None:
        """Take for ever, harmlessly."""
        await asyncio.Event().wait()

    async def scenario() -> None:
        desk = Desk([search, look])
        desk.send(an_order("search", n=1))
        desk.send(an_order("look", n=2))
        await asyncio.sleep(0.25)
        for n in (1, 2):
            desk.send(CancelTool(f"call_{n}"))
            await desk.result(n)
        desk.send(an_order("search", n=1))

        said = "search was stopped, since the caller interrupted; whether it took effect is not known."
        assert [(result.status, words(result)) for result in desk.results[:2]] == [
            ("cancelled", said),
            ("cancelled", "look was stopped, since the caller interrupted."),
        ]
        assert stopped == ["search"]
        claimed = await desk.claims.read(Attempt(CALL, "call_1", 1))
        assert claimed is not None
        assert claimed.claim.result == desk.results[0] == desk.results[2]

    run_virtual(scenario())


def test_a_tool_that_is_cancelled_before_it_has_begun_is_not_run() -> None:
    ran = []

    @tool(cancel_on_interrupt=True)
    async def act() -> None:
        """Leave a mark."""
        ran.append("act")

    async def scenario() -> None:
        desk = Desk([act])
        desk.send(an_order("act"))
        desk.send(CancelTool("call_1"))

        result = await desk.result()

        assert (result.status, words(result)) == ("cancelled", "act was not run: the caller interrupted.")
        assert ran == []
        assert desk.answers == [result]

    run_virtual(scenario())


def test_nobody_but_the_calls_owner_stops_a_tool() -> None:
    @tool(cancel_on_interrupt=True)
    async def act() -> str:
        """Takes a while."""
        await asyncio.sleep(0.5)
        return "done"

    async def scenario() -> None:
        desk = Desk([act])
        desk.send(an_order("act"), epoch=3)
        await asyncio.sleep(0.25)
        desk.send(CancelTool("call_1"), epoch=2)
        desk.send(CancelTool("call_2"), epoch=4)

        assert (await desk.result()).status == "ok"

    run_virtual(scenario())


def test_progress_reaches_whoever_asked_last_at_most_twice_a_second_and_no_longer_than_the_run() -> None:
    contexts: list[ToolContext] = []

    @tool
    async def search(context: ToolContext) -> None:
        """Take 1.2 s and say so."""
        contexts.append(context)
        for n in range(12):
            context.progress(f"Still looking, {n}.\n")
            await asyncio.sleep(0.1)
        context.progress("x" * 5000)

    async def scenario() -> None:
        desk = Desk([search])
        desk.send(an_order("search"))
        await asyncio.sleep(0.25)
        desk.send(an_order("search"), sender="agent.agent-2")
        await desk.result()
        contexts[0].progress("Too late.")
        await asyncio.sleep(2)

        said = [(subject, message.text) for subject, message in desk.posted if isinstance(message, ToolProgress)]
        assert said == [
            (f"tl.v1.agent.agent-1.{CALL}", "Still looking, 0."),
            (f"tl.v1.agent.agent-2.{CALL}", "Still looking, 4."),
            (f"tl.v1.agent.agent-2.{CALL}", "Still looking, 9."),
        ]

    run_virtual(scenario())


def test_progress_is_short_and_may_come_from_a_thread() -> None:
    @tool
    def search(context: ToolContext) -> None:
        """Say much."""
        for _ in range(1000):
            context.progress("word " * 100)
        time.sleep(0.05)  # long enough to be heard

    async def scenario() -> None:
        desk = Desk([search])
        desk.send(an_order("search"))
        await desk.result()

        said = [message for message in desk.answers if isinstance(message, ToolProgress)]
        assert [len(message.text) for message in said] == [300]

    asyncio.run(scenario())


def test_progress_that_is_no_text_is_the_tools_own_error() -> None:
    @tool
    async def search(context: ToolContext) -> None:
        """Say a number."""
        context.progress(7)  # type: ignore[arg-type]  # what is tested

    async def scenario() -> None:
        desk = Desk([search])
        desk.send(an_order("search"))

        assert words(await desk.result()) == "search failed: TypeError: progress takes text, not int"

    run_virtual(scenario())


def test_a_tool_at_its_own_limit_is_busy_while_others_run() -> None:
    async def scenario() -> None:
        desk = Desk([one_at_a_time, greet])
        desk.send(an_order("one_at_a_time", '{"seconds":1}', n=1))
        desk.send(an_order("one_at_a_time", '{"seconds":1}', n=2))
        desk.send(an_order("greet", n=3))
        await desk.result(2)

        assert ToolDeclined("call_2", "busy", "runner-1") in desk.answers
        assert [result.tool_call for result in desk.results] == ["call_3", "call_1"]

    run_virtual(scenario())


def test_a_full_runner_is_busy() -> None:
    async def scenario() -> None:
        desk = Desk([hang, greet], limits=Limits(runs=1, lost_runs=1))
        desk.send(an_order("hang", n=1))
        desk.send(an_order("greet", n=2))

        assert desk.answers[-1] == ToolDeclined("call_2", "busy", "runner-1")
        await desk.runner.stop()

    run_virtual(scenario())


def test_a_drain_takes_nothing_new_and_waits_for_what_runs() -> None:
    async def scenario() -> None:
        desk = Desk([one_at_a_time, greet])
        desk.send(an_order("one_at_a_time", '{"seconds":1}'))
        drained = asyncio.create_task(desk.runner.drain(grace_s=5))
        await asyncio.sleep(0.5)
        desk.send(an_order("greet", n=2))
        assert desk.answers[-1] == ToolDeclined("call_2", "draining", "runner-1")

        await drained

        assert [result.status for result in desk.results] == ["ok"]

    run_virtual(scenario())


def test_what_still_runs_at_the_end_is_answered_as_unknown() -> None:
    async def scenario() -> None:
        desk = Desk([hang, look_for_ever])
        desk.send(an_order("hang", n=1))
        desk.send(an_order("look_for_ever", n=2))
        await desk.runner.drain(grace_s=0.5)

        await desk.runner.stop()

        assert [result.status for result in desk.results] == ["unknown", "unknown"]
        assert desk.runner.runs == 0

    run_virtual(scenario())
