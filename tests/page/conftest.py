"""One real stack for the page's calls: five services, real engines, two gateways."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.running_stack import RunningStack

AGENTS = Path(__file__).parents[1] / "stack/agents.py"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    options = ("--agent", f"{AGENTS}:frontdesk", "--workers", "gateway=2")
    running = RunningStack(tmp_path_factory.mktemp("page"), *options).start()
    yield running
    assert running.stop() == 0
