"""The SDK's context object: kept as JSON in the call's tool state, or refused when the file loads."""

import datetime
import enum
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pytest
from pydantic import BaseModel

from agents_sdk.referee import written
from trunkline.agents import ToolContext
from trunkline.agents.sdk.shared import Shared
from trunkline.proto.errors import BadInput


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Address:
    street: str
    since: datetime.date


@dataclass
class Customer:
    name: str
    home: Address
    colours: list[Colour] = field(default_factory=list)


@dataclass(eq=False)
class Plain:
    count: int = 0


class Model(BaseModel):
    when: datetime.datetime
    note: str | None = None


class Struct(msgspec.Struct):
    names: set[str]


class Typed(TypedDict):
    name: str


@dataclass
class WithLock:
    lock: Any = field(default_factory=threading.Lock)


class Ordinary:
    def __init__(self) -> None:
        self.name = "Ada"


HOME = Address("Main Street", datetime.date(2020, 2, 29))
WHEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, None, "x"]},
        Typed(name="Ada"),
        Customer("Ada", HOME, [Colour.RED]),
        Model(when=WHEN),
        Struct({"a"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_can_hold_comes_back_equal(value: object) -> None:
    assert Shared(value).load({}) == value


def test_each_function_gets_an_object_of_its_own() -> None:
    shared = Shared(Plain())
    shared.load({}).count = 5

    assert shared.load({}).count == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Ordinary(), "context: a Ordinary can't be serialised"),
        (Ordinary, "context: the class Ordinary can't be serialised"),
        (
            WithLock(),
            "context: a WithLock can't be serialised (Unable to serialize unknown type: <class '_thread.lock'>",
        ),
        ({"lock": threading.Lock()}, "context: a dict can't be serialised"),
        ({"pair": (1, 2)}, "context: a dict comes back from JSON as {'pair': [1, 2]}"),
        ({1: "one"}, "context: a dict comes back from JSON as {'1': 'one'}"),
        ({"at": WHEN}, "context: a dict comes back from JSON as"),
        ("words", "context: a str can't be serialised"),
    ],
)
def test_what_json_cannot_hold_is_refused(value: object, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        Shared(value)

    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith(
        "allowed: None, or a dict, dataclass, pydantic model or msgspec Struct that comes back equal from JSON"
    )
    assert "\n" not in str(caught.value)


def test_a_file_with_such_a_context_is_refused_when_it_loads(tmp_path: Path) -> None:
    text = "from agents import Agent\na = Agent('a')\nclass Store: pass\ncontext = Store()\n"
    with pytest.raises(BadInput) as caught:
        written(tmp_path, text)

    assert str(caught.value).startswith(f"agent file: {tmp_path / 'desk.py'}: context: a Store can't be serialised")


def test_what_a_tool_changes_is_in_the_state_and_what_it_leaves_alone_is_not() -> None:
    shared = Shared(Customer("Ada", HOME))
    state = ToolContext("rtc_00_test", "call_1", 0.0)
    value = shared.load(state.state)
    shared.save(value, state.state)
    unchanged = state.state_patch()
    value.colours.append(Colour.RED)
    shared.save(value, state.state)

    assert unchanged == "{}"
    assert msgspec.json.decode(state.state_patch())["context"]["colours"] == ["red"]
    assert shared.load(state.state) == value


def test_what_cannot_be_kept_is_told_as_soon_as_the_tool_has_left_it_there() -> None:
    shared = Shared({"name": "Ada"})
    state: dict[str, object] = {}
    with pytest.raises(BadInput) as caught:
        shared.save({"name": threading.Lock()}, state)

    assert str(caught.value).startswith("context: holds what can't be serialised")
    assert state == {}


def test_a_context_of_another_version_of_the_file_is_told() -> None:
    with pytest.raises(BadInput) as caught:
        Shared(Plain()).load({"context": {"count": "many"}})

    assert str(caught.value).startswith("context: of the call is no Plain")
