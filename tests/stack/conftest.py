"""One real stack for all of these tests: five services, real engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.running_stack import RunningStack

AGENTS = Path(__file__).parent / "agents.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything beside this file starts a stack."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.stack)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("stack"), "--agent", f"{AGENTS}:frontdesk").start()
    yield running
    assert running.stop() == 0
