"""docs/protocol.md against the code, both ways: a subject, message or field that only one of them has fails.

A message's heading is "### `Name`", with "· tag `tag`" if it has one; its table's columns are field, type, unit,
required (yes, or the default) and meaning.
"""

import enum
import importlib
import inspect
import pkgutil
import re
import types
import typing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from trunkline import proto
from trunkline.proto import ids, subjects
from trunkline.proto.audio import U32, U64
from trunkline.proto.envelope import Message

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
NOT_SUBJECTS = {"last_token", "peer_unheard"}  # take a subject apart instead of building one
SAMPLES: dict[str, Any] = {
    "stage": "stt",
    "worker": "stt-4m2k7p9q",
    "call": ids.new_call_id(7),
    "sender": "agent.agent-x3y8z2aa",
    "name": "get_weather",
    "server": "stock",
    "key": "call_k3y",
    "shard": 7,
    "peer": "tts.tts-9c4d2f1h",
    "attempt": 1,
}


class Row(NamedTuple):
    field: str
    type: str
    required: str


def spell(annotation: Any) -> str:
    """A type in the words of the page."""
    if annotation is U32:
        return "u32"
    if annotation is U64:
        return "u64"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation == Message:
        return "any message below"
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (list, tuple):
        return f"list of {spell(arguments[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if part is type(None) else spell(part) for part in arguments)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return f"`{annotation.__name__}`"
    names = {str: "text", int: "int", float: "float", bool: "bool", bytes: "bytes"}
    return names[annotation]


def required(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "yes"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(default, msgspec.Struct):
        return f"`{type(default).__name__}()`"
    if isinstance(default, enum.Enum):
        default = default.value
    return "`" + msgspec.json.encode(default).decode() + "`"


def structs() -> dict[str, type[msgspec.Struct]]:
    """Every public Struct of the vocabulary, by name."""
    found: dict[str, type[msgspec.Struct]] = {}
    for module in pkgutil.iter_modules(proto.__path__):
        for name, value in vars(importlib.import_module(f"trunkline.proto.{module.name}")).items():
            if inspect.isclass(value) and issubclass(value, msgspec.Struct) and not name.startswith("_"):
                found[name] = value
    return found


def expected_rows(struct: type[msgspec.Struct]) -> list[Row]:
    hints = typing.get_type_hints(struct, include_extras=True)
    return [Row(f.name, spell(hints[f.name]), required(f)) for f in msgspec.structs.fields(struct)]


def sections() -> dict[str, str]:
    """The page's text below each message's heading, by the whole heading."""
    parts = re.split(r"^### (`\w+`.*)$", PAGE, flags=re.MULTILINE)
    return dict(
        zip(parts[1::2], (re.split(r"^##? ", text, flags=re.MULTILINE)[0] for text in parts[2::2]), strict=True)
    )


def section(name: str) -> tuple[str, str]:
    found = [(heading, text) for heading, text in sections().items() if heading.startswith(f"`{name}`")]
    assert len(found) == 1, f"docs/protocol.md has {len(found)} sections for {name}"
    return found[0]


def table(text: str) -> list[list[str]]:
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


@pytest.mark.parametrize("name", sorted(structs()))
def test_the_page_tells_every_field_of(name: str) -> None:
    rows = table(section(name)[1])

    assert [Row(row[0].strip("`"), row[1], row[3]) for row in rows] == expected_rows(structs()[name])


@pytest.mark.parametrize("name", sorted(structs()))
def test_no_field_is_without_a_unit_and_a_meaning_in(name: str) -> None:
    rows = table(section(name)[1])

    assert [row[0] for row in rows if len(row) != 5 or not row[2] or not row[4]] == []


@pytest.mark.parametrize("name", sorted(structs()))
def test_the_page_tells_the_tag_of(name: str) -> None:
    tag = structs()[name].__struct_config__.tag

    assert (f"`{name}` · tag `{tag}`" if tag is not None else f"`{name}`") == section(name)[0]


def test_the_page_tells_of_no_message_that_is_gone() -> None:
    named = {heading.split("`")[1] for heading in sections()}

    assert named - set(structs()) == set()


def subject_rows() -> dict[str, str]:
    """Pattern by the name of what builds it."""
    text = PAGE.split("## Subjects", 1)[1].split("\n## ", 1)[0]
    return {row[1].strip("`").split("(")[0]: row[0] for row in table(text)}


def subject_functions() -> dict[str, Any]:
    functions = inspect.getmembers(subjects, inspect.isfunction)
    own = {name: f for name, f in functions if f.__module__ == subjects.__name__ and not name.startswith("_")}
    return {name: function for name, function in own.items() if name not in NOT_SUBJECTS}


def subject_constants() -> dict[str, str]:
    names = [
        name for name in vars(subjects) if name.startswith("ALL_") or name.endswith("_BUCKET") or name == "DEPARTED"
    ]
    return {name: getattr(subjects, name) for name in names}


def test_the_page_tells_every_subject() -> None:
    assert set(subject_functions()) | set(subject_constants()) == set(subject_rows())


@pytest.mark.parametrize("name", sorted(subject_functions()))
def test_the_page_spells_the_subjects_of(name: str) -> None:
    function = subject_functions()[name]
    arguments = {parameter: SAMPLES[parameter] for parameter in inspect.signature(function).parameters}
    built = function(**arguments)
    shard = f"{SAMPLES['shard']:02d}"
    spelt = subject_rows()[name].replace("`", "").replace("<shard>", shard)
    for parameter, value in arguments.items():
        token = str(value).replace(".", "-") if parameter == "peer" else str(value)
        spelt = spelt.replace(f"<{parameter}>", token)

    assert (built if isinstance(built, str) else ", ".join(built)) == spelt


@pytest.mark.parametrize("name", sorted(subject_constants()))
def test_the_page_spells_the_constant(name: str) -> None:
    assert subject_constants()[name] == subject_rows()[name].strip("`")
