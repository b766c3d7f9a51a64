"""What the project says that it needs is pinned: a lock that lags behind breaks new machines, and no old one."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"^([A-Za-z0-9._-]+)")


def _name(requirement: str) -> str:
    found = NAME.match(requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[1]).lower()


def test_every_package_that_is_asked_for_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [one for extra in project["project"]["optional-dependencies"].values() for one in extra]
    asked = {_name(one) for one in [*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"]]}
    pinned = {_name(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}

    assert asked - {"trunkline"} - pinned == set()
