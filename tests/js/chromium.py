"""A headless Chromium of the system's own, with a page that runs the scenarios of this directory.

Its microphone is a file and nothing it asks for is beyond loopback: names of other machines don't resolve.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from js import clients
from support.vendor_host import NAME, VendorHost

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PAGE = "http://localhost:9/"  # answered by the test itself: nothing listens there
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript"}
RUN = "async (order) => (await import('/browser.mjs')).run(order)"


def program() -> str:
    return next(filter(None, map(shutil.which, PROGRAMS)), "")


def missing() -> str:
    """Why no browser can run here, "" if one can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright isn't installed"
    return clients.missing() or ("" if program() else f"no browser is installed: {' or '.join(PROGRAMS)}")


class Browser:
    """page: Playwright's. clips: the callers' lines as files of samples, by name."""

    def __init__(self, browser: Any, clips: dict[str, str]) -> None:
        self._browser = browser
        self._clips = clips

    def run(self, order: dict[str, object]) -> clients.Facts:
        with self.page() as page:
            facts: clients.Facts = page.evaluate(RUN, order | {"clips": list(self._clips)})
            return facts

    @contextmanager
    def page(self) -> Iterator[Any]:
        """A new one, at PAGE. What goes wrong in it fails the test."""
        context = self._browser.new_context()
        try:
            context.route(f"{PAGE}**", self._answer)
            page = context.new_page()
            page.set_default_timeout(clients.SCENARIO_LIMIT_S * 1000)
            page.goto(PAGE)
            yield page
        finally:
            context.close()

    def _answer(self, route: Any) -> None:
        path = route.request.url.removeprefix(PAGE) or "page.html"
        folder, _, name = path.rpartition("/")
        if folder == "speech":
            route.fulfill(path=self._clips[name.removesuffix(".pcm")], content_type="application/octet-stream")
            return
        file = (clients.HERE / path).resolve()
        if file.is_file() and file.is_relative_to(clients.HERE):
            route.fulfill(path=file, content_type=TYPES[file.suffix])
        else:
            route.fulfill(status=404)


@contextmanager
def running(clips: dict[str, str], heard: Path, vendor: VendorHost) -> Iterator[Browser]:
    """heard: WAV file that the machine's microphone hears, once, from the moment that a page opens it."""
    from playwright.sync_api import sync_playwright

    options = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}%noloop",
        "--autoplay-policy=no-user-gesture-required",
        f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{vendor.port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={vendor.fingerprint}",
    ]
    with sync_playwright() as playwright:
        sandbox = hasattr(os, "geteuid") and os.geteuid() != 0
        browser = playwright.chromium.launch(executable_path=program(), args=options, chromium_sandbox=sandbox)
        try:
            yield Browser(browser, clips)
        finally:
            browser.close()
