"""Everybody can use the page: axe-core finds nothing in any of its states, light and dark, on a desk and on a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from page import chrome
from page.chrome import CALL, Caller, message, says
from support import chromium

AXE = Path(__file__).parents[1] / "js/node_modules/axe-core/axe.min.js"
MISSING = chromium.missing() or ("" if AXE.exists() else "npm ci has not run in tests/js")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]
SCREENS = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
SCAN = """async () => (await axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
})).violations.map(found => [found.id, ...found.nodes.map(node => node.html)].join(' '))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.browser() as running:
        yield running


def without_a_key(caller: Caller) -> None:
    caller.open("")
    caller.page.get_by_role("button", name="Call", exact=True).click()
    caller.page.get_by_role("alert").wait_for()


def idle(caller: Caller) -> None:
    caller.open()


def connecting(caller: Caller) -> None:
    caller.desk.silent_about.add("POST v1/realtime/calls")
    caller.open()
    with caller.page.expect_request("**/v1/realtime/calls"):
        caller.page.get_by_role("button", name="Call", exact=True).click()
    caller.page.get_by_role("button", name="Cancel").wait_for()


def full(caller: Caller) -> None:
    refusal = {"status": 503, "headers": {"Retry-After": "60"}, "json": {"error": {"message": "it has its 2 calls"}}}
    caller.desk.answers["POST v1/realtime/calls"] = refusal
    caller.open()
    caller.page.get_by_role("button", name="Call", exact=True).click()
    caller.page.get_by_role("button", name="Call again in").wait_for()


def live(caller: Caller) -> None:
    """With one of everything that may stand in a transcript."""
    tool = {"id": "call_1", "name": "get_weather", "arguments": {"city": "Tokyo"}, "response": "resp_1"}
    record = {
        "events": [{"type": "response_done", "response": "resp_1"}],
        "items": [],
        "tools": [tool | {"status": "ok", "result": "18 degrees"}, tool | {"id": "call_2", "status": "error"}],
    }
    caller.desk.answers[f"GET v1/calls/{CALL}"] = {"json": record}
    caller.open().call()
    caller.hears("session.created", session={"id": CALL, "model": "frontdesk"})
    caller.hears("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    caller.hears("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=900)
    caller.hears("input_audio_buffer.committed", item_id="item_u")
    caller.hears("response.created", response={"id": "resp_1"})
    says(caller, "resp_1", "item_c", "commentary", "One moment.")
    says(caller, "resp_1", "item_a", "final_answer", "It rains in Tokyo.")
    cut = message("item_a", "final_answer", "incomplete", "It rains in Tokyo.")
    caller.hears("response.done", response={"id": "resp_1", "status": "cancelled", "output": [cut]})
    caller.hears("conversation.item.truncated", item_id="item_a", content_index=0, audio_end_ms=400)
    caller.hears("conversation.item.retrieved", item=message("item_a", "final_answer", "incomplete", "It rains"))
    caller.hears("error", error={"type": "server_error", "code": "stage_lost", "message": "no agent is left"})
    caller.page.locator(".tool").first.wait_for()


def muted(caller: Caller) -> None:
    caller.open().call()
    caller.page.get_by_role("button", name="Mute microphone").click()


def disturbed(caller: Caller) -> None:
    live(caller)
    caller.page.evaluate("standIn.disturb()")


def detailed(caller: Caller) -> None:
    live(caller)
    button = caller.page.get_by_role("button", name="Details of the call")
    if button.is_visible():
        button.click()
    caller.page.get_by_text("How this is measured").click()


def ended(caller: Caller) -> None:
    live(caller)
    caller.page.get_by_role("button", name="Hang up").click()
    caller.page.get_by_role("button", name="Call again").wait_for()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", [without_a_key, idle, connecting, full, live, muted, disturbed, detailed, ended])
def test_nobody_is_kept_out(browser: Any, state: Callable[[Caller], None], scheme: str, screen: str) -> None:
    with chrome.caller(browser, viewport=SCREENS[screen], color_scheme=scheme, reduced_motion="reduce") as caller:
        state(caller)
        caller.page.evaluate(AXE.read_text())

        assert caller.page.evaluate(SCAN) == []


def test_a_fault_would_be_found(browser: Any) -> None:
    with chrome.caller(browser) as caller:
        caller.open()
        caller.page.evaluate("document.getElementById('theme').removeAttribute('aria-label')")
        caller.page.evaluate("document.getElementById('theme').removeAttribute('title')")
        caller.page.evaluate(AXE.read_text())
        found = caller.page.evaluate(SCAN)

    assert [fault.split()[0] for fault in found] == ["button-name"]
