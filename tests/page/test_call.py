"""A call from the page through a whole stack with real engines, over either line: spoken, interrupted, written, shown
a picture, its gateway lost."""

import base64
import os
import signal
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
LINES = ("WebRTC", "WebSocket")
PAGE_LIMIT_BYTES = 150_000
LOUDNESS = """async (recording) => {
    const bytes = Uint8Array.from(atob(recording), c => c.charCodeAt(0));
    const sound = await new AudioContext().decodeAudioData(bytes.buffer);
    return [0, 1].map(side => sound.getChannelData(side).reduce((most, value) => Math.max(most, Math.abs(value)), 0));
}"""  # of either side
DRAW = """([width, height]) => new Promise(resolve => {
    const canvas = Object.assign(document.createElement('canvas'), {width, height});
    canvas.getContext('2d').fillRect(0, 0, width / 2, height);
    canvas.toBlob(blob => {
        const given = new DataTransfer();
        given.items.add(new File([blob], 'half.png', {type: 'image/png'}));
        document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: given, bubbles: true}));
        resolve();
    });
})"""


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
def page_of(
    stack: RunningStack, heard: Path, button: str = "Call", key: str = "", line: str = "WebRTC"
) -> Iterator[Any]:
    """On a call. Without a key its address is the one that `trunkline up` prints."""
    lines = (stack.directory / "up.out").read_text().splitlines()
    printed = next(line for line in lines if line.startswith("page ")).removeprefix("page ")
    address = f"{stack.address.base}/#key={key}" if key else printed
    with chromium.browser(heard=heard) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(LIMIT_MS)
        page.goto(address)
        page.get_by_label(line).check()
        page.get_by_role("button", name=button, exact=True).click()
        page.get_by_role("button", name="Hang up").wait_for()
        yield page


def words(page: Any, kind: str, text: str) -> Any:
    return page.locator(f"#lines .{kind} .words", has_text=text)


def loudness(page: Any) -> list[float]:
    """Of the caller and of the agent, in the recording that the page makes."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Recording").click()
    recording = base64.b64encode(download.value.path().read_bytes()).decode()
    found: list[float] = page.evaluate(LOUDNESS, recording)
    return found


def gateway_of(stack: RunningStack) -> int:
    """The process that has the call."""
    return int(next(worker["pid"] for worker in stack.json("ps") if worker["stage"] == "gateway" and worker["calls"]))


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


@pytest.mark.parametrize("line", LINES)
def test_a_spoken_question_is_read_heard_and_answered(stack: RunningStack, tmp_path: Path, line: str) -> None:
    heard = microphone(tmp_path / "heard.wav", GREETING_S, "weather_tokyo", 60.0)
    with page_of(stack, heard, line=line) as page:
        words(page, "greeting", "Hello, this is the front desk.").wait_for()
        words(page, "user", "What is the weather in Tokyo?").wait_for()
        words(page, "commentary", "One moment, let me check the weather in Tokyo.").wait_for()
        words(page, "answer", "The weather in Tokyo is 18 degrees and light rain.").wait_for()
        page.locator("#lines .tool", has_text="get_weather(city: Tokyo) done").wait_for()
        waits = wait_s(page, "commentary"), wait_s(page, "answer")
        figures = page.locator("#waits .figures").inner_text()
        loud = loudness(page)
        call = hang_up(page)

    assert 0.1 < waits[0] < waits[1] < 10
    assert [part.split()[0] for part in figures.split(" · ")] == ["hearing", "agent", "voice", "answer"]
    assert min(loud) > 0.1
    assert end_of(stack, call) == "caller_hung_up"


@pytest.mark.parametrize("line", LINES)
def test_an_interruption_is_marked_where_the_answer_was_cut(stack: RunningStack, tmp_path: Path, line: str) -> None:
    heard = microphone(tmp_path / "heard.wav", GREETING_S, "order_status", 4.6, "wait_stop", 60.0)
    with page_of(stack, heard, line=line) as page:
        words(page, "user", "I have another question").wait_for()
        page.locator("#lines .answer .cut", has_text="interrupted at").wait_for()
        cut = page.locator("#lines .answer", has=page.locator(".cut")).first.locator(".words")
        page.locator("#lines .answer .lost:not(:empty)").first.wait_for()
        shown, lost = cut.inner_text(), cut.locator("s").inner_text()
        call = hang_up(page)

    cuts = [item for item in stack.json("show", call)["items"] if item["status"] == "interrupted"]
    item = next(item for item in cuts if item["source"] == "model")  # a slow machine may have cut the greeting too
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


@pytest.mark.parametrize("line", LINES)
def test_a_picture_is_dropped_shown_and_answered(stack: RunningStack, tmp_path: Path, line: str) -> None:
    with page_of(stack, microphone(tmp_path / "heard.wav", 60.0), line=line) as page:
        words(page, "greeting", "How can I help you?").wait_for()
        page.evaluate(DRAW, [320, 200])
        page.get_by_role("img", name="Picture you showed: half.png").wait_for()
        words(page, "answer", "320").wait_for()
        call = hang_up(page)

    item = next(item for item in stack.json("show", call)["items"] if item.get("images"))
    assert item["role"] == "user"


def test_a_call_outlives_its_gateway_and_what_was_said_meanwhile_is_heard(stack: RunningStack, tmp_path: Path) -> None:
    heard = microphone(tmp_path / "heard.wav", GREETING_S, "weather_tokyo", 7.0, "order_status", 60.0)
    with page_of(stack, heard, line="WebSocket") as page:
        call = page.locator("#fact-call").text_content()
        words(page, "answer", "The weather in Tokyo").wait_for()
        page.locator("#sound", has_text="Hearing you").wait_for()  # the next question has begun
        os.kill(gateway_of(stack), signal.SIGKILL)
        page.locator("#lines .notice", has_text="found again after").wait_for()
        words(page, "user", "I would like to know where my order is").wait_for()
        words(page, "answer", "was shipped yesterday and arrives tomorrow").wait_for()
        lines = page.locator("#lines > .user").count()
        same = hang_up(page)

    assert same == call
    assert lines == 2
    assert end_of(stack, same) == "caller_hung_up"


def test_a_call_over_webrtc_outlives_its_gateway_on_a_websocket(stack: RunningStack, tmp_path: Path) -> None:
    heard = microphone(tmp_path / "heard.wav", GREETING_S, "weather_tokyo", 60.0)
    with page_of(stack, heard) as page:
        words(page, "answer", "The weather in Tokyo").wait_for()
        (gateway,) = stack.pids()["webrtc"]
        os.kill(gateway, signal.SIGKILL)
        page.locator("#lines .notice", has_text="found again after").wait_for()
        page.get_by_label("Message to the agent").fill("When are you open on sunday?")
        page.keyboard.press("Enter")
        words(page, "answer", "We are closed on Sunday.").wait_for()
        line = page.locator("#fact-line").text_content()
        call = hang_up(page)

    assert line == "WebSocket"
    assert end_of(stack, call) == "caller_hung_up"


def test_a_call_takes_little_and_asks_nobody_else(stack: RunningStack, tmp_path: Path) -> None:
    asked: list[str] = []
    taken = 0.0

    def finished(event: dict[str, float]) -> None:
        nonlocal taken
        taken += event["encodedDataLength"]

    with chromium.browser(heard=microphone(tmp_path / "heard.wav", 60.0)) as browser:
        page = browser.new_page()
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", finished)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{stack.address.base}/#key={stack.address.key}")
        page.get_by_label("WebSocket").check()
        page.get_by_role("button", name="Call", exact=True).click()
        words(page, "greeting", "How can I help you?").wait_for()
        hang_up(page)

    assert 10_000 < taken < PAGE_LIMIT_BYTES
    assert [url for url in asked if not url.startswith(stack.address.base)] == []


@pytest.mark.parametrize("line", LINES)
def test_a_page_that_goes_away_has_hung_up(stack: RunningStack, tmp_path: Path, line: str) -> None:
    with page_of(stack, microphone(tmp_path / "heard.wav", 60.0), line=line) as page:
        words(page, "greeting", "How can I help you?").wait_for()
        call = str(page.locator("#fact-call").text_content())
        page.goto("about:blank")
        began_s = time.monotonic()
        while not (ended := end_of(stack, call)) and time.monotonic() < began_s + NOTICED_S:
            time.sleep(0.1)

    assert ended in ("hung_up", "caller_hung_up")  # as it was told over HTTP, or by the connection
