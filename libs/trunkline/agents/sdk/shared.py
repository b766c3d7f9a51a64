"""The SDK's context: an object that all functions of a file share, kept as JSON in the call's tool state in between.

No process holds it: it is made anew for each function that asks for it, and what a tool has changed is recorded.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from agents import RunContextWrapper
from pydantic import BaseModel, TypeAdapter

from trunkline.proto.errors import BadInput

STATE_KEY = "context"
PARAM = "context"
ALLOWED = "None, or a dict, dataclass, pydantic model or msgspec Struct that comes back equal from JSON"


class Shared:
    """initial: what a call begins with, the file's variable `context`. Raises BadInput for what JSON can't hold."""

    def __init__(self, initial: object = None) -> None:
        self._kind = type(initial)
        self._encode, self._decode = _codec(initial)
        try:
            self._initial = self._encode(initial)
            again = self._decode(self._initial)
            same = again == initial or (self._kind.__eq__ is object.__eq__ and self._encode(again) == self._initial)
        except Exception as error:  # a rim: the object is anybody's code
            raise BadInput(PARAM, f"{_named(initial)} can't be serialised ({_line(error)})", ALLOWED) from error
        if not same:
            raise BadInput(PARAM, f"{_named(initial)} comes back from JSON as {again!r:.120}", ALLOWED)

    def load(self, state: Mapping[str, object]) -> Any:
        """state: the call's tool state. Raises BadInput, should another version of the file have left another."""
        kept = state.get(STATE_KEY)
        try:
            return self._decode(self._initial if kept is None else msgspec.json.encode(kept))
        except Exception as error:  # a rim: as above
            raise BadInput(PARAM, f"of the call is no {self._kind.__name__} ({_line(error)})", ALLOWED) from error

    def save(self, value: object, state: dict[str, object]) -> None:
        """Raises BadInput when a tool has left something in it that JSON can't hold."""
        try:
            encoded = self._encode(value)
            self._decode(encoded)
        except Exception as error:  # a rim: as above
            raise BadInput(PARAM, f"holds what can't be serialised ({_line(error)})", ALLOWED) from error
        if encoded != self._initial or STATE_KEY in state:
            state[STATE_KEY] = msgspec.json.decode(encoded)

    def wrapped(self, state: Mapping[str, object]) -> RunContextWrapper[Any]:
        return RunContextWrapper(context=self.load(state))


def _codec(initial: object) -> tuple[Callable[[object], bytes], Callable[[bytes], object]]:
    if initial is None:
        return lambda value: b"null", lambda encoded: None
    kind = type(initial)
    if isinstance(initial, dict):
        return msgspec.json.encode, lambda encoded: msgspec.json.decode(encoded, type=dict[str, object])
    if isinstance(initial, msgspec.Struct):
        return msgspec.json.encode, lambda encoded: msgspec.json.decode(encoded, type=kind)
    if not (isinstance(initial, BaseModel) or (dataclasses.is_dataclass(initial) and not isinstance(initial, type))):
        raise BadInput(PARAM, f"{_named(initial)} can't be serialised", ALLOWED)
    try:
        adapter: TypeAdapter[object] = TypeAdapter(kind)
    except Exception as error:  # a rim: a field's type may be anybody's
        raise BadInput(PARAM, f"{_named(initial)} can't be serialised ({_line(error)})", ALLOWED) from error
    return lambda value: adapter.dump_json(value, by_alias=True, warnings=False), adapter.validate_json


def _named(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
