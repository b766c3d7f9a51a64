"""A headless Chromium of the system's own, with a page that runs the scenarios of this directory.

Its microphone is a file and nothing it asks for is beyond loopback: names of other machines don't resolve.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from js import clients
from support import chromium
from support.vendor_host import NAME, VendorHost

RUN = "async (order) => (await import('/browser.mjs')).run(order)"


def missing() -> str:
    """Why no browser can run here, "" if one can."""
    return clients.missing() or chromium.missing()


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
    speech = Path(next(iter(clips.values()))).parent
    options = (
        "--autoplay-policy=no-user-gesture-required",
        f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{vendor.port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={vendor.fingerprint}",
    )
    with _served(speech) as address, chromium.browser(*options, heard=heard) as browser:
        yield Browser(browser, address, list(clips))
