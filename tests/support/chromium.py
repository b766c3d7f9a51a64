"""A headless Chromium of the system's own, whose machine's microphone is a file."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
NO_PROMPTS = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def _program() -> str:
    return next(filter(None, map(shutil.which, PROGRAMS)), "")


def missing() -> str:
    """Why no browser can run here, "" if one can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright isn't installed"
    return "" if _program() else f"no browser is installed: {' or '.join(PROGRAMS)}"


@contextmanager
def browser(*options: str, heard: Path | None = None) -> Iterator[Any]:
    """Playwright's. options: of Chromium. heard: WAV file that its microphone hears once, from when a page opens it."""
    from playwright.sync_api import sync_playwright

    microphone = [] if heard is None else [f"--use-file-for-fake-audio-capture={heard}%noloop"]
    sandbox = os.geteuid() != 0  # Chromium has none for root
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=_program(), args=[*NO_PROMPTS, *microphone, *options], chromium_sandbox=sandbox
        )
        try:
            yield launched
        finally:
            launched.close()
