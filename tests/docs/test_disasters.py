"""The disaster table: every line names what tried it, which is there, or says that nobody did."""

import re
import shlex
from pathlib import Path

import pytest

from trunkline.cli import parser
from trunkline.cli.chaos import scene

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "operations").glob("*.md"))
UNTRIED = "**untried**"


def lines() -> list[list[str]]:
    text = (ROOT / "docs" / "operations" / "disasters.md").read_text()
    rows = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip(" |") for cell in row] for row in rows if row[0].strip() != "lost"]


@pytest.mark.parametrize("line", lines(), ids=lambda line: line[0])
def test_a_line_says_what_is_lost_for_whom_what_to_do_and_what_tried_it(line: list[str]) -> None:
    assert len(line) == 5
    assert all(line)
    assert UNTRIED in line[4] or re.search(r"`(tests/|trunkline chaos)", line[4])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", page.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


def commands(page: Path) -> list[list[str]]:
    """In blocks of commands and in the midst of text."""
    found = re.findall(r"^(trunkline [^#\n]*)|`(trunkline \w+ [^`\n]+)`", page.read_text(), flags=re.MULTILINE)
    return [shlex.split(block or inline)[1:] for block, inline in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_can_be_given(page: Path) -> None:
    faults = {f"{kind} {target}" for kind, target in (*scene.FAULTS, *scene.RARE)}
    for command in commands(page):
        parsed = parser.parse(command)
        if parsed.command == "chaos" and parsed.only:
            assert set(parsed.only.split(",")) <= faults
