"""One real stack for the page's calls: five services, real engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.running_stack import RunningStack

AGENTS = Path(__file__).parents[1] / "stack/agents.py"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("page"), "--agent", f"{AGENTS}:frontdesk").start()
    yield running
    assert running.stop() == 0
