"""A setting, metric or word has one row: where two branches each wrote one, a reader can't tell which is true."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"^\| (`\w+`|\*\*.+?\*\*) ", re.MULTILINE)  # of a first cell


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "docs/glossary.md"])
def test_nothing_has_two_rows(page: str) -> None:
    names = Counter(NAME.findall((ROOT / page).read_text()))

    assert len(names) > 50
    assert [name for name, rows in names.items() if rows > 1] == []
