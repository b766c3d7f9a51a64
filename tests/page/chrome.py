"""The page in a headless Chromium without a gateway: the test answers what it asks, and stand_in.js is its WebRTC.

Nothing leaves the browser.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trunkline.gateway.page.serving import HEADERS, read_files

HERE = Path(__file__).parent
ADDRESS = "http://localhost:9/"  # nothing listens there
CALL = "rtc_07_k3jqx2a7m4"
KEY = "sk-given"
AGENTS = "GET v1/models"
Event = dict[str, Any]


class Desk:
    """What stands in for the gateway: answers by path, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []  # method and path, bearer, body
        self.silent_about: set[str] = set()
        self.answers: dict[str, dict[str, Any]] = {
            AGENTS: {"json": {"data": []}},
            "POST v1/realtime/client_secrets": {"json": {"value": "ek_made"}},
            "POST v1/realtime/calls": {
                "status": 201,
                "body": "v=0\r\n",
                "headers": {"Location": f"/v1/realtime/calls/{CALL}"},
            },
            f"POST v1/realtime/calls/{CALL}/hangup": {"status": 200},
            f"GET v1/calls/{CALL}": {"json": {"events": [], "items": [], "tools": []}},
            "POST v1/files": {"json": {"id": "file_kept"}},
        }

    def answer(self, route: Any) -> None:
        path = route.request.url.partition("#")[0].removeprefix(ADDRESS)
        file = read_files().get(path.removeprefix("page/") or "index.html")
        if file is not None:
            route.fulfill(body=file.body, headers=HEADERS | {"Content-Type": file.content_type})
            return
        asked = f"{route.request.method} {path}"
        bearer = route.request.headers.get("authorization", "").removeprefix("Bearer ")
        body = (route.request.post_data_buffer or b"").decode(errors="replace")  # a picture's is no text
        self.asked.append((asked, bearer, body))
        if asked not in self.silent_about:
            route.fulfill(**self.answers[asked])

    @property
    def asked_for_calls(self) -> list[tuple[str, str]]:
        """Without their bodies, and without the question for agents."""
        return [(path, bearer) for path, bearer, _ in self.asked if path != AGENTS]


class Caller:
    """Someone at the page. page: Playwright's."""

    def __init__(self, page: Any, desk: Desk) -> None:
        self.page, self.desk = page, desk

    def open(self, fragment: str = f"#key={KEY}") -> "Caller":
        self.page.goto(f"{ADDRESS}{fragment}")
        return self

    def call(self, button: str = "Call") -> "Caller":
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.get_by_role("button", name="Hang up").wait_for()
        return self

    def hears(self, type: str, **fields: object) -> None:
        self.page.evaluate("event => standIn.tell(event)", {"type": type, "event_id": "event_1", **fields})

    def writes(self, text: str) -> None:
        self.page.get_by_label("Message to the agent").fill(text)
        self.page.keyboard.press("Enter")

    @property
    def sent(self) -> list[Event]:
        found: list[Event] = self.page.evaluate("standIn.sent")
        return found

    @property
    def sent_types(self) -> list[str]:
        return [event["type"] for event in self.sent]

    @property
    def peer(self) -> Event:
        """What became of the connection and of the microphone."""
        found = self.page.evaluate(
            "(({direction, isClosed, track}) => JSON.stringify({direction, isClosed: !!isClosed,"
            " enabled: track?.enabled, track: track?.readyState}))(standIn.peers.at(-1))"
        )
        told: Event = json.loads(found)
        return told


def alert(caller: Caller) -> str:
    return str(caller.page.get_by_role("alert").inner_text())


def message(name: str, phase: str | None, status: str = "in_progress", text: str = "") -> dict[str, object]:
    content = [{"type": "output_audio", "transcript": text}] if text else []
    item: dict[str, object] = {"id": name, "type": "message", "role": "assistant", "status": status, "content": content}
    return item | ({"phase": phase} if phase else {})


def says(caller: Caller, response: str, name: str, phase: str, text: str) -> None:
    caller.hears("response.output_item.added", response_id=response, item=message(name, phase))
    caller.hears("response.output_audio_transcript.delta", response_id=response, item_id=name, delta=text)


@contextmanager
def caller(browser: Any, **context: object) -> Iterator[Caller]:
    """context: of Playwright's new_context. An error in the page fails the test."""
    desk, problems = Desk(), list[str]()
    opened = browser.new_context(**({"viewport": {"width": 390, "height": 844}} | context))
    try:
        opened.route(f"{ADDRESS}**", desk.answer)
        page = opened.new_page()
        page.set_default_timeout(10_000)
        page.add_init_script(path=HERE / "stand_in.js")
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
        yield Caller(page, desk)
    finally:
        opened.close()
    assert problems == []
