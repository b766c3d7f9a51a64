"""The Python of the pages runs: `python file=NAME` is written and loaded as an agent file, `python run` is run.

`python call` needs a gateway: the page's own test runs it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from trunkline.agents import load_agent_file

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Snippet(NamedTuple):
    how: str
    code: str


def snippets(page: Path) -> list[Snippet]:
    return [Snippet(*match.groups()) for match in BLOCK.finditer(page.read_text())]


PAGES = [page for page in sorted(DOCS.rglob("*.md")) if snippets(page)]


@pytest.mark.programs
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_snippet_runs_on(page: Path, tmp_path: Path) -> None:
    for how, code in snippets(page):
        if how.startswith("file="):
            place = tmp_path / how.removeprefix("file=")
            place.write_text(code)
            assert load_agent_file(str(place)).agents
        elif how == "call":
            continue  # of a page whose own test gives it a gateway
        else:
            assert how == "run", f"a block of {page.name} says {how!r} instead of how it is tested"
            place = tmp_path / "snippet.py"
            place.write_text(code)
            done = subprocess.run(
                [sys.executable, place.name], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr


def test_the_tutorial_builds_agents_and_calls_them() -> None:
    how = [snippet.how for snippet in snippets(DOCS / "agents.md")]

    assert how[:2] == ["file=shop.py", "run"]
    assert how.count("run") > 5


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere_from(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#[^)\s]*)?\)", page.read_text())

    assert [target for target in targets if target and not (page.parent / target).exists()] == []
