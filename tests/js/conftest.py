"""One real stack for all stock JavaScript clients: five services, real engines."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from js import clients
from support import vendor_host
from support.running_stack import RunningStack
from support.vendor_host import VendorHost

DESK = Path(__file__).with_name("desk.py")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    options = ("--agent", f"{DESK}:desk", "--workers", "stt=2,agent=2,tts=2")
    running = RunningStack(tmp_path_factory.mktemp("js"), *options).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def vendor(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VendorHost]:
    """The vendor's host name, with that stack behind it."""
    port = urlsplit(stack.address.base).port
    assert port is not None
    with vendor_host.running(tmp_path_factory.mktemp("vendor"), port) as host:
        yield host


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return clients.speech(tmp_path_factory.mktemp("speech"))
