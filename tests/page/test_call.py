"""A call from the page through a whole stack with real engines, over WebRTC: spoken, interrupted, written."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from js import clients
from support import chromium
from support.running_stack import RunningStack
from trunkline.audio import resample, wav

pytestmark = [
    pytest.mark.browser,
    pytest.mark.stack,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing()),
]
CALLERS = Path(__file__).parents[1] / "data/callers"
RATE_HZ = 48_000
GREETING_S = 5.0
LIMIT_MS = 30_000
NOTICED_S = 5.0  # that a page is gone; a silent connection is given up later
KEEP_PEERS = """window.peers = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) { super(...given); window.peers.push(this); }
};"""
LOUDNESS = """async () => [...(await peers[0].getStats()).values()]
    .filter(s => s.type === "inbound-rtp").map(s => s.totalAudioEnergy)[0]"""


def microphone(path: Path, *pieces: str | float) -> Path:
    """pieces: names of callers' lines, and seconds of silence."""
    samples = [
        np.zeros(round(piece * RATE_HZ), np.int16) if isinstance(piece, float) else line(piece) for piece in pieces
    ]
    wav.write_file(path, np.concatenate(samples), RATE_HZ)
    return path


def line(name: str) -> Any:
    clip = wav.read_file(CALLERS / f"{name}.wav")
    return resample.resample(clip.samples, clip.rate_hz, RATE_HZ).astype(np.int16)


@contextmanager
def page_of(stack: RunningStack, heard: Path, button: str = "Call", key: str = "") -> Iterator[Any]:
    """On a call. Without a key its address is the one that `trunkline up` prints."""
    lines = (stack.directory / "up.out").read_text().splitlines()
    printed = next(line for line in lines if line.startswith("page ")).removeprefix("page ")
    address = f"{stack.address.base}/#key={key}" if key else printed
    with chromium.browser(heard=heard) as browser:
        page = browser.new_page()
        page.set_default_timeout(LIMIT_MS)
        page.add_init_script(KEEP_PEERS)
        page.goto(address)
        page.get_by_role("button", name=button, exact=True).click()
        page.get_by_role("button", name="Hang up").wait_for()
        yield page


def words(page: Any, kind: str, text: str) -> Any:
    return page.locator(f"#lines .{kind} .words", has_text=text)


def hang_up(page: Any) -> str:
    """The call's id, once its page has its end."""
    page.get_by_role("button", name="Hang up").click()
    page.get_by_role("button", name="Call again").wait_for()
    return str(page.locator("#fact-call").text_content())


def end_of(stack: RunningStack, call: str) -> str:
    """Why it ended, "" while it goes on."""
    ends = [event["reason"] for event in stack.json("show", call)["events"] if event["type"] == "ended"]
    return ends[0] if ends else ""


def wait_s(page: Any, kind: str) -> float:
    return float(page.locator(f"#lines .{kind} .wait").last.inner_text().removesuffix(" s"))


def test_a_spoken_question_is_read_heard_and_answered(stack: RunningStack, tmp_path: Path) -> None:
    heard = microphone(tmp_path / "heard.wav", GREETING_S, "weather_tokyo", 60.0)
    with page_of(stack, heard) as page:
        words(page, "greeting", "Hello, this is the front desk.").wait_for()
        words(page, "user", "What is the weather in Tokyo?").wait_for()
        words(page, "commentary", "One moment, let me check the weather in Tokyo.").wait_for()
        words(page, "answer", "The weather in Tokyo is 18 degrees and light rain.").wait_for()
        page.locator("#lines .tool", has_text="get_weather(city: Tokyo) done").wait_for()
        waits = wait_s(page, "commentary"), wait_s(page, "answer")
        loudness = page.evaluate(LOUDNESS)
        call = hang_up(page)

    assert 0.1 < waits[0] < waits[1] < 10
    assert loudness > 0.01
    assert end_of(stack, call) == "caller_hung_up"


def test_an_interruption_is_marked_where_the_answer_was_cut(stack: RunningStack, tmp_path: Path) -> None:
    heard = microphone(tmp_path / "heard.wav", GREETING_S, "order_status", 4.6, "wait_stop", 60.0)
    with page_of(stack, heard) as page:
        words(page, "user", "I have another question").wait_for()
        page.locator("#lines .answer .cut", has_text="interrupted at").wait_for()
        cut = page.locator("#lines .answer", has=page.locator(".cut")).first.locator(".words")
        page.locator("#lines .answer .lost:not(:empty)").first.wait_for()
        shown, lost = cut.inner_text(), cut.locator("s").inner_text()
        call = hang_up(page)

    item = next(item for item in stack.json("show", call)["items"] if item["status"] == "interrupted")
    assert shown.startswith(item["heard_text"].strip())
    assert item["text"] == f"{item['heard_text'].strip()} {lost}".strip()


def test_a_written_question_is_answered_without_a_microphone_and_by_a_key_for_calls_alone(
    stack: RunningStack, tmp_path: Path
) -> None:
    silence, key = microphone(tmp_path / "heard.wav", 1.0), clients.secret(stack.address)
    with page_of(stack, silence, "Without microphone", key) as page:
        words(page, "greeting", "How can I help you?").wait_for()
        page.get_by_label("Message to the agent").fill("When are you open on sunday?")
        page.keyboard.press("Enter")
        words(page, "user", "When are you open on sunday?").wait_for()
        words(page, "answer", "We are closed on Sunday.").wait_for()
        hang_up(page)


def test_a_page_that_goes_away_has_hung_up(stack: RunningStack, tmp_path: Path) -> None:
    with page_of(stack, microphone(tmp_path / "heard.wav", 60.0)) as page:
        words(page, "greeting", "How can I help you?").wait_for()
        call = str(page.locator("#fact-call").text_content())
        page.goto("about:blank")
        began_s = time.monotonic()
        while not (ended := end_of(stack, call)) and time.monotonic() < began_s + NOTICED_S:
            time.sleep(0.1)

    assert ended in ("hung_up", "caller_hung_up")  # as it was told over HTTP, or by the connection
