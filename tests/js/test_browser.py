"""The guide's program and what people add to it, in headless Chromium, over WebRTC and over WebSocket, with ek_ keys.

What a client does is in scenarios.mjs, what is right of it in expected.py.
"""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from js import chromium, clients, expected
from js.chromium import Browser
from js.clients import Facts
from support.running_stack import RunningStack
from support.vendor_host import VendorHost

pytestmark = [
    pytest.mark.browser,
    pytest.mark.stack,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing()),
]
LOUD = 1_000  # of 32,767
SECOND_MS = 1_000
STOPPED_MS = 300  # of sound after the reply was cut: what was under way


@pytest.fixture(scope="module")
def browser(clips: dict[str, str], vendor: VendorHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    heard = clients.for_a_microphone(tmp_path_factory.mktemp("microphone"), "order_status")
    with chromium.running(clips, heard, vendor) as running:
        yield running


def converse(
    browser: Browser,
    stack: RunningStack,
    scenario: str,
    transport: str = "webrtc",
    kill: Callable[[str], None] | None = None,
) -> Facts:
    """By a key that opens this stack alone, spoken to through a line of the test's."""
    url = f"{stack.address.base}/v1/realtime/calls" if transport == "webrtc" else stack.address.realtime
    connect = {"apiKey": clients.secret(stack.address, model="gpt-realtime-2"), "url": url}
    return browser.run(
        {"scenario": scenario, "connect": connect, "session": {"transport": transport}, "microphone": "line"},
        kill,
    )


def test_the_guides_program_is_heard_by_the_machines_microphone_at_the_vendors_own_address(
    browser: Browser, stack: RunningStack
) -> None:
    connect = {"apiKey": clients.secret(stack.address, model="gpt-realtime-2")}

    facts = browser.run({"scenario": "guide", "connect": connect, "microphone": "device"})

    expected.question_answered(facts)
    assert facts["microphone"]["loudMs"] > SECOND_MS
    assert facts["microphone"]["loudest"] > LOUD


def test_a_tool_of_the_clients_runs_in_the_page(browser: Browser, stack: RunningStack) -> None:
    facts = converse(browser, stack, "clientTool")

    expected.tool_run(facts)
    assert facts["microphone"]["loudMs"] > SECOND_MS


def test_speaking_silences_the_reply_and_the_gateway_truncates_it(browser: Browser, stack: RunningStack) -> None:
    facts = converse(browser, stack, "bargeIn")

    expected.interrupted(facts)
    assert facts["stillLoudMs"] < STOPPED_MS
    assert "conversation.item.truncate" not in facts["sent"]
    assert len(clients.of(facts, "output_audio_buffer.cleared")) == 1
    cut = [frame["response"] for frame in clients.of(facts, "response.done")][1]
    assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "turn_detected")


def test_a_handoff_makes_the_other_agents_tools_the_callers(browser: Browser, stack: RunningStack) -> None:
    facts = converse(browser, stack, "handoff")

    expected.handed_over(facts)


def test_an_output_guardrail_stops_what_is_said(browser: Browser, stack: RunningStack) -> None:
    facts = converse(browser, stack, "guardrail")

    expected.guarded(facts)
    assert "output_audio_buffer.clear" in facts["sent"]


def test_history_is_edited_where_the_client_says(browser: Browser, stack: RunningStack) -> None:
    facts = converse(browser, stack, "history")

    expected.history_edited(facts)


def test_a_page_can_use_a_websocket_and_give_its_key_as_a_subprotocol(browser: Browser, stack: RunningStack) -> None:
    facts = converse(browser, stack, "clientTool", "websocket")

    expected.tool_run(facts)
    assert facts["loudest"] > LOUD


def test_a_call_outlives_what_listens_thinks_and_speaks(browser: Browser, stack: RunningStack) -> None:
    killed = []

    def kill(stage: str) -> None:
        (serving,) = [row for row in stack.json("ps") if row["stage"] == stage and row["calls"]]
        os.kill(serving["pid"], signal.SIGKILL)
        killed.append(stage)

    facts = converse(browser, stack, "survivor", kill=kill)

    assert killed == ["stt", "agent", "tts"]
    expected.lived_on(facts)
    assert facts["microphone"]["loudMs"] > 3 * SECOND_MS
