"""What everything beside this file has in common: it attacks programs of its own, in real time."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hostile)
            item.add_marker(pytest.mark.timeout(600))
