"""docs/operations.md lists every metric with kind and labels; names tell owner and unit, labels never a call."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
KINDS = {"Counter", "Gauge", "Histogram"}
OWNERS = ("bus", "record", "worker", "build", "gateway", "stt", "agent", "tool_runner", "tts")


class Metric(NamedTuple):
    name: str
    kind: str
    labels: str


def declared_in(tree: ast.AST) -> Iterator[Metric]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in KINDS:
            continue
        if node.args and isinstance(node.args[0], ast.Constant):  # not collections.Counter, which counts something
            name = ast.literal_eval(node.args[0])
            labels = ast.literal_eval(node.args[2]) if len(node.args) > 2 else []
            yield Metric(name, node.func.id.lower(), ", ".join(labels))


@cache
def declared() -> list[Metric]:
    files = [path for top in ("libs", "services") for path in (ROOT / top).rglob("*.py")]
    return sorted(metric for path in files for metric in declared_in(ast.parse(path.read_text())))


def listed() -> list[Metric]:
    row = re.compile(r"^\| `(trunkline_\w+)` \| (\w+) \| ([^|]*?) \| \S.* \|$", re.MULTILINE)
    return sorted(Metric(name, kind, labels.replace("–", "")) for name, kind, labels in row.findall(PAGE.read_text()))


def test_the_page_lists_every_metric_and_no_other() -> None:
    assert listed() == declared()


def test_a_metric_says_whose_it_is() -> None:
    names = [metric.name.removeprefix("trunkline_") for metric in declared()]

    assert [name for name in names if not name.startswith(OWNERS)] == []


def test_a_counter_ends_in_total_and_a_histogram_in_what_it_measures() -> None:
    wrong = [
        metric.name
        for metric in declared()
        if (metric.kind == "counter") != metric.name.endswith("_total")
        or (metric.kind == "histogram" and not metric.name.endswith(("_seconds", "_rounds")))
    ]

    assert wrong == []


def test_no_metric_has_a_label_per_call() -> None:
    assert [metric.name for metric in declared() if {"call", "call_id"} & set(metric.labels.split(", "))] == []
