"""A headless Chromium of the system's own, with a page that runs the scenarios of this directory.

Its microphone is a file and nothing it asks for is beyond loopback: names of other machines don't resolve.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from js import clients
from support.vendor_host import NAME, VendorHost

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
RUN = "async (order) => (await import('/browser.mjs')).run(order)"


def program() -> str:
    return next(filter(None, map(shutil.which, PROGRAMS)), "")


def missing() -> str:
    """Why no browser can run here, "" if one can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright isn't installed"
    return clients.missing() or ("" if program() else f"no browser is installed: {' or '.join(PROGRAMS)}")


class Browser:
    """Pages of this directory, with the callers' lines at /speech."""

    def __init__(self, browser: Any, address: str, lines: Sequence[str]) -> None:
        self._browser = browser
        self._address = address
        self._lines = list(lines)

    def run(self, order: dict[str, object], kill: Callable[[str], None] | None = None) -> clients.Facts:
        """What a scenario gives, in a page of its own. kill: ends what serves its call of a stage."""
        context = self._browser.new_context()
        try:
            page = context.new_page()
            if kill is not None:
                page.expose_function("kill", kill)
            page.goto(f"{self._address}/page.html")
            facts: clients.Facts = page.evaluate(RUN, order | {"clips": self._lines})
            return facts
        finally:
            context.close()


class _Files(SimpleHTTPRequestHandler):
    speech: Path

    def translate_path(self, path: str) -> str:
        folder, _, name = path.lstrip("/").partition("/")
        return str(self.speech / name) if folder == "speech" else super().translate_path(path)

    def log_message(self, format: str, *args: object) -> None:
        """A page's requests are no news."""


@contextmanager
def _served(speech: Path) -> Iterator[str]:
    handler = type("Files", (_Files,), {"speech": speech})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(clients.HERE)))
    thread = Thread(target=server.serve_forever, name="pages", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running(clips: dict[str, str], heard: Path, vendor: VendorHost) -> Iterator[Browser]:
    """clips: files of one directory, by name. heard: WAV file for the machine's microphone, heard once from the moment
    that a page opens it."""
    from playwright.sync_api import sync_playwright

    options = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}%noloop",
        "--autoplay-policy=no-user-gesture-required",
        f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{vendor.port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={vendor.fingerprint}",
    ]
    speech = Path(next(iter(clips.values()))).parent
    sandbox = os.geteuid() != 0  # Chromium has none for root
    with _served(speech) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=options, chromium_sandbox=sandbox)
        try:
            yield Browser(browser, address, list(clips))
        finally:
            browser.close()
