"""Rules of the house that no linter knows: subjects, imports, sizes, and what a public file may not name."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES = 400
FUNCTION_LINES = 60
SPEAKS_NATS = ("libs/trunkline/bus/", "libs/trunkline/record/")
BUILDS_SUBJECTS = "proto/trunkline/proto/subjects.py"
SUBJECT = re.compile(r"^(tl\.|calls\.|claims\.)|CALLS_(\d|$|\{)")
PRIVATE = re.compile(r"(?<![\w/.~-])/(?:root|home/\w+|Users/\w+|work|opt/pypi\S*|opt/wheels)(?=[/\s\"'`)]|$)")
REGISTRIES = re.compile(  # in pieces, so that this file does not name them
    "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs", "ghcr" + r"\.io"])
    + "|"
    + r"^\s*--(?:extra-)?index-url",
    re.MULTILINE,
)
SOURCES = sorted(
    path for top in ("proto", "libs", "services") for path in (ROOT / top).rglob("*.py") if path.stat().st_size
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def committed() -> list[Path]:
    """Every text file that git knows; without git (an archive), every source file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        return SOURCES
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def docstrings(tree: ast.AST) -> set[int]:
    """ids of the constants that are docstrings or other bare strings."""
    return {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def subject_literals(tree: ast.AST) -> Iterator[str]:
    """Strings, and first pieces of f-strings, that spell a subject or a stream."""
    bare = docstrings(tree)
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for node in sorted(texts, key=lambda node: node.lineno):
        if id(node) not in bare and SUBJECT.match(str(node.value)):
            yield f"line {node.lineno}: {node.value!s}"


def too_long(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.name} has {lines} lines"


@cache
def trees() -> dict[str, ast.Module]:
    """Every source file by its path in the project."""
    return {relative(path): ast.parse(path.read_text()) for path in SOURCES}


def test_no_function_is_too_long() -> None:
    assert [f"{name}: {found}" for name, tree in trees().items() for found in too_long(tree)] == []


def test_no_file_is_too_long() -> None:
    assert [relative(path) for path in SOURCES if len(path.read_text().splitlines()) > FILE_LINES] == []


def test_subjects_are_built_in_one_file() -> None:
    elsewhere = {name: tree for name, tree in trees().items() if name != BUILDS_SUBJECTS}

    assert [f"{name}: {found}" for name, tree in elsewhere.items() for found in subject_literals(tree)] == []


def test_only_the_bus_and_the_record_import_nats() -> None:
    others = {name: tree for name, tree in trees().items() if not name.startswith(SPEAKS_NATS)}

    assert [name for name, tree in others.items() if any(m.split(".")[0] == "nats" for m in imports(tree))] == []


def test_a_subject_spelt_elsewhere_is_found() -> None:
    tree = ast.parse(
        '"""tl.v1 in a docstring"""\na = f"tl.v1.{x}"\nb = "calls.03.rtc"\nc = f"CALLS_{n:02d}"\nd = "calls"'
    )

    assert list(subject_literals(tree)) == ["line 2: tl.v1.", "line 3: calls.03.rtc", "line 4: CALLS_"]


def test_nothing_committed_names_a_private_directory_or_a_registry() -> None:
    found = [
        f"{relative(path)}: {match.group()}"
        for path in committed()
        for pattern in (PRIVATE, REGISTRIES)
        for match in pattern.finditer(path.read_text(errors="replace"))
    ]

    assert found == []


def test_a_private_directory_is_found() -> None:
    text = "see |work/notes, ~|work/x, https:||example.com|home/anna, '|home/anna/x' and |root".replace("|", "/")

    assert [match.group()[1:] for match in PRIVATE.finditer(text)] == ["work", "home/anna", "root"]
