"""One real stack for all stock JavaScript clients: five services, real engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from js import clients
from support.running_stack import RunningStack

DESK = Path(__file__).with_name("desk.py")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("js"), "--agent", f"{DESK}:desk").start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return clients.speech(tmp_path_factory.mktemp("speech"))
