"""The wire of a release, put down as text; and a reader built from that text alone, as that release's own would read.

A wire is written once, when its release is, and never changed: `python -m support.wires > tests/proto/wires/N.json`.
"""

import importlib
import json
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from trunkline import proto
from trunkline.proto.errors import Undecodable, UnknownTag

WIRES = Path(__file__).parents[1] / "proto" / "wires"
ROOTS = ("Envelope", "AudioBatch", "Beat", "RecordEntry", "CallSummary", "Claim", "Prompt")  # what bytes begin as
Spelling = Any  # of a type: a name, or a list of what it is and of which parts
Described = dict[str, dict[str, Any]]

_PLAIN: dict[str, Any] = {
    "text": str,
    "bytes": bytes,
    "int": int,
    "float": float,
    "bool": bool,
    "null": None,
    "u32": Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)],
    "u64": Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)],
}


def written(number: int) -> Described:
    """Of an earlier release. Its lines are Structs: name, tag and fields, each with its type and default."""
    described: Described = json.loads((WIRES / f"{number}.json").read_text())
    return described


def described() -> Described:
    """Of the package that is imported here: every Struct that travels or is kept."""
    found = {name: _described(struct) for name, struct in sorted(_structs().items())}
    as_written: Described = json.loads(json.dumps(found))
    return as_written


def _structs() -> dict[str, type[msgspec.Struct]]:
    found: dict[str, type[msgspec.Struct]] = {}
    for module in pkgutil.iter_modules(proto.__path__):
        for name, value in vars(importlib.import_module(f"trunkline.proto.{module.name}")).items():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and not name.startswith("_"):
                found[name] = value
    return found


def _union(described: Described, struct: str, field: str) -> list[str]:
    (spelling,) = [spelt for name, spelt, *_ in described[struct]["fields"] if name == field]
    return list(spelling[1:])


def _described(struct: type[msgspec.Struct]) -> dict[str, Any]:
    hints = typing.get_type_hints(struct, include_extras=True)
    fields = []
    for field in msgspec.structs.fields(struct):
        spelt = [field.name, _spell(hints[field.name])]
        if not field.required:
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            spelt.append(msgspec.to_builtins(default))
        fields.append(spelt)
    return {"tag": struct.__struct_config__.tag, "fields": fields}


def _spell(hint: Any) -> Spelling:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return next(name for name, plain in _PLAIN.items() if plain == hint)
    if origin is Literal:
        return ["one of", *parts]
    if origin in (list, tuple):
        return ["list", _spell(parts[0])]
    if origin in (typing.Union, types.UnionType):
        return ["either", *map(_spell, parts)]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint.__name__
    return next(name for name, plain in _PLAIN.items() if plain is hint or (plain is None and hint is type(None)))


class Reader:
    """Reads bytes as a release reads them that knows what is described, and nothing else."""

    def __init__(self, described: Described) -> None:
        self._described = described
        self._built: dict[str, type[msgspec.Struct]] = {}
        self._decoders = {root: msgspec.msgpack.Decoder(self._struct(root)) for root in ROOTS}
        self._encoder = msgspec.msgpack.Encoder()
        self.tags = {described[name]["tag"] for name in _union(described, "Envelope", "message")}

    def decode(self, root: str, data: bytes) -> msgspec.Struct:
        """root: of ROOTS. Raises UnknownTag (of an Envelope's message) and Undecodable, as `envelope.decode` does."""
        try:
            decoded: msgspec.Struct = self._decoders[root].decode(data)
        except msgspec.MsgspecError as error:
            raise self._explained(root, data, error) from error
        return decoded

    def rewritten(self, root: str, data: bytes) -> bytes:
        """As that release would write the same. Raises as decode does."""
        return self._encoder.encode(self.decode(root, data))

    def _explained(self, root: str, data: bytes, error: msgspec.MsgspecError) -> Undecodable:
        body = msgspec.msgpack.decode(data)
        if root == "Envelope" and body[-1][0] not in self.tags:
            call, sender, _, attach, seq, ack, _, message = body[:8]
            return UnknownTag(message[0], call, sender, attach, seq, ack)
        return Undecodable(str(error))

    def _struct(self, name: str) -> type[msgspec.Struct]:
        if name not in self._built:
            one = self._described[name]
            fields = [self._field(*field) for field in one["fields"]]
            options: dict[str, Any] = {"frozen": True, "array_like": True, "tag": one["tag"]}
            self._built[name] = msgspec.defstruct(name, fields, **options)
        return self._built[name]

    def _field(self, name: str, spelling: Spelling, *default: object) -> tuple[Any, ...]:
        hint = self._type(spelling)
        return (name, hint, *(msgspec.convert(value, hint) for value in default))

    def _type(self, spelling: Spelling) -> Any:
        if isinstance(spelling, str):
            return _PLAIN[spelling] if spelling in _PLAIN else self._struct(spelling)
        kind, *parts = spelling
        if kind == "one of":
            return Literal[tuple(parts)]
        if kind == "list":
            return tuple[self._type(parts[0]), ...]  # type: ignore[misc]  # made of text
        return typing.Union[tuple(map(self._type, parts))]  # noqa: UP007  # made of text


def grown(old: msgspec.Struct, new: msgspec.Struct) -> Iterator[str]:
    """What of `old` isn't the same in `new`; new may have more fields."""
    for name in old.__struct_fields__:
        yield from _differences(f"{type(old).__name__}.{name}", getattr(old, name), getattr(new, name))


def _differences(where: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct) and type(old).__name__ == type(new).__name__:
        yield from grown(old, new)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        for one, other in zip(old, new, strict=True):
            yield from _differences(where, one, other)
    elif old != new:
        yield f"{where}: {old!r}, {new!r}"


def main() -> None:
    lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in described().items()]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
