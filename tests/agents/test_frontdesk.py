"""The front desk of the examples: sentences to speak, and data on which several runners agree."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trunkline.agents import AgentFile, Tool, ToolContext, load_agent_file

FRONTDESK = Path(__file__).parents[2] / "examples" / "agents" / "frontdesk.py"
CANCEL_MANY = """
import sys, time
from trunkline.agents import ToolContext, load_agent_file
cancel = load_agent_file(sys.argv[1]).tools["cancel_order"]
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
for n in range(10):
    print(cancel.bind('{"order_number":"4712"}', ToolContext("rtc_00_a", f"call_{n}", 2e9))())
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentFile:
    monkeypatch.setenv("TRUNKLINE_DIR", str(tmp_path))
    return load_agent_file(str(FRONTDESK))


def said(tool: Tool, arguments: str, key: str = "call_1") -> str:
    bound = tool.bind(arguments, ToolContext("rtc_00_a", key, 2e9))
    if tool.asynchronous:
        return str(asyncio.run(bound()))  # type: ignore[arg-type]  # an asynchronous tool gives its awaitable
    return str(bound())


def test_it_greets_and_hints_at_what_callers_dictate(desk: AgentFile) -> None:
    assert desk.default.greeting == "Hello, this is the front desk. How can I help you?"
    assert desk.default.dictations == (r"\d{4}",)


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("get_weather", '{"city":"tokyo."}', "The weather in Tokyo is 18 degrees and light rain."),
        ("get_weather", '{"city":"Atlantis"}', "I have no weather report for Atlantis."),
        ("lookup_order", '{"order_number":"4712"}', "Order 4 7 1 2 was shipped yesterday and arrives tomorrow."),
        ("lookup_order", '{"order_number":"0000"}', "Order 0 0 0 0 is not in our books."),
        ("opening_hours", '{"day":"sunday"}', "We are closed on Sunday."),
        (
            "opening_hours",
            '{"day":"monday"}',
            "On Monday we are open from nine in the morning until six in the evening.",
        ),
        (
            "cancel_order",
            '{"order_number":"2580"}',
            "Order 2 5 8 0 was delivered last Friday, so it can't be cancelled any more.",
        ),
    ],
)
def test_it_answers_in_sentences(desk: AgentFile, name: str, arguments: str, answer: str) -> None:
    assert said(desk.tools[name], arguments) == answer


def test_a_cancellation_that_is_run_again_has_one_effect_and_one_answer(desk: AgentFile) -> None:
    cancel = desk.tools["cancel_order"]
    first = said(cancel, '{"order_number":"4712"}', key="call_1")
    again = said(cancel, '{"order_number":"4712"}', key="call_1")
    later = said(cancel, '{"order_number":"4712"}', key="call_2")

    assert first == again == "Order 4 7 1 2 is cancelled, and you will have your money back within five days."
    assert later == "Order 4 7 1 2 is cancelled already."
    assert said(desk.tools["lookup_order"], '{"order_number":"4712"}') == "Order 4 7 1 2 is cancelled."


def test_runners_that_start_at_once_agree_on_one_file(tmp_path: Path) -> None:
    start_at = str(time.time() + 1.0)
    command = [sys.executable, "-c", CANCEL_MANY, str(FRONTDESK), start_at]
    runners = [
        subprocess.Popen(command, env={"TRUNKLINE_DIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [runner.communicate(timeout=60)[0].splitlines() for runner in runners]

    assert [runner.returncode for runner in runners] == [0, 0, 0]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0].startswith("Order 4 7 1 2 is cancelled, and you will have your money back")
