"""From a function's signature to a JSON Schema, and from a model's JSON to that function's arguments.

Both come from the same annotations, so what the schema allows is what the function gets. Pure; no I/O.
"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from trunkline.agents.context import ToolContext
from trunkline.agents.docstring import Documented
from trunkline.proto.errors import BadInput

JsonSchema = dict[str, object]


class Schema(typing.Protocol):
    """What a tool takes. context: name of the parameter that takes the ToolContext, "" for none."""

    @property
    def context(self) -> str: ...

    @property
    def defaults(self) -> Mapping[str, object]:
        """What a function gets for arguments that it isn't given."""
        ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def json_schema(self) -> JsonSchema: ...

    def decode(self, arguments: str) -> dict[str, object]:
        """arguments: JSON object. Raises BadInput."""
        ...


_ANNOTATIONS = (
    "a type that JSON can hold: str, int, float, bool, Literal, Enum, list, Optional, Annotated, a msgspec.Struct"
)
_PLAIN_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_ANCHORS = re.compile(r"^(\^|\\A)|(\$|\\Z)$")
_DIGITS = re.compile(r"\\d|0-9|\[\[:digit:\]\]")
_WORDS_OF_TYPE = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that the model gives. default: what a function gets that isn't given one, if not required."""

    name: str
    schema: JsonSchema
    decoder: msgspec.json.Decoder[object]
    required: bool
    default: object = None


@dataclass(frozen=True, slots=True)
class Signature:
    """context: name of the parameter that takes the ToolContext, "" for none."""

    tool: str
    parameters: tuple[Parameter, ...]
    definitions: JsonSchema
    context: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def defaults(self) -> Mapping[str, object]:
        return {parameter.name: parameter.default for parameter in self.parameters if not parameter.required}

    def json_schema(self) -> JsonSchema:
        """An object schema (JSON Schema 2020-12), as the model APIs take it for a function's parameters."""
        schema: JsonSchema = {
            "type": "object",
            "properties": {parameter.name: parameter.schema for parameter in self.parameters},
            "required": [parameter.name for parameter in self.parameters if parameter.required],
            "additionalProperties": False,
        }
        return schema | ({"$defs": self.definitions} if self.definitions else {})

    def decode(self, arguments: str) -> dict[str, object]:
        """arguments: JSON object; empty text counts as none. Every value is checked, none is converted.

        Raises BadInput with the argument's name, what is wrong and what is allowed: words a model can act on.
        """
        given = self._split(arguments)
        return {p.name: _value(p, given[p.name]) for p in self.parameters if p.name in given}

    def _split(self, arguments: str) -> Mapping[str, msgspec.Raw]:
        names = ", ".join(parameter.name for parameter in self.parameters) or "no arguments"
        try:
            given = msgspec.json.decode(arguments.strip() or "{}", type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
            raise BadInput("arguments", f"not a JSON object ({error})", f"an object with {names}") from error
        unknown = given.keys() - {parameter.name for parameter in self.parameters}
        if unknown:
            raise BadInput(min(unknown), f"is no argument of {self.tool}", names)
        for parameter in self.parameters:
            if parameter.required and parameter.name not in given:
                raise BadInput(parameter.name, "is missing", allowed(parameter.schema))
        return given


@dataclass(frozen=True, slots=True)
class GivenSchema:
    """A JSON Schema that comes from elsewhere: whoever carries the tool out checks the arguments against it.

    Raises BadInput for a schema that is none of an object.
    """

    tool: str
    schema: JsonSchema
    context: str = ""

    def __post_init__(self) -> None:
        if self.schema.get("type") != "object" or not isinstance(self.schema.get("properties", {}), dict):
            raise BadInput(f"{self.tool}: parameters", "are not of an object", 'a JSON Schema with "type": "object"')

    @property
    def names(self) -> tuple[str, ...]:
        properties = self.schema.get("properties", {})
        return tuple(properties) if isinstance(properties, dict) else ()

    @property
    def defaults(self) -> Mapping[str, object]:
        return {}

    def json_schema(self) -> JsonSchema:
        return self.schema

    def decode(self, arguments: str) -> dict[str, object]:
        return decode_object(arguments, ", ".join(self.names) or "no arguments")


def decode_object(arguments: str, names: str) -> dict[str, object]:
    """names: of what is allowed, in words. Raises BadInput."""
    try:
        return msgspec.json.decode(arguments.strip() or "{}", type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise BadInput("arguments", f"not a JSON object ({error})", f"an object with {names}") from error


def _value(parameter: Parameter, raw: msgspec.Raw) -> object:
    try:
        return parameter.decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(parameter.name, str(error), allowed(parameter.schema)) from error


def signature_of(tool: str, function: Callable[..., object], documented: Documented) -> Signature:
    """Raises BadInput naming the tool and the parameter that can't be given by a model."""
    hints = _hints(tool, function)
    parameters: list[inspect.Parameter] = []
    context = ""
    for parameter in inspect.signature(function).parameters.values():
        if hints.get(parameter.name) is ToolContext:
            context = parameter.name
        else:
            _check(tool, parameter, hints)
            parameters.append(parameter)
    stray = documented.arguments.keys() - {parameter.name for parameter in parameters} - {context}
    if stray:
        raise BadInput(f"{tool}.{min(stray)}", "is in the docstring's Args but not in the signature", "its parameters")
    definitions: JsonSchema = {}
    made = tuple(_parameter(tool, p, hints[p.name], documented, definitions) for p in parameters)
    return Signature(tool, made, definitions, context)


def _hints(tool: str, function: Callable[..., object]) -> dict[str, object]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise BadInput(tool, f"has an annotation that can't be read ({error})", _ANNOTATIONS) from error


def _check(tool: str, parameter: inspect.Parameter, hints: Mapping[str, object]) -> None:
    where = f"{tool}.{parameter.name}"
    if parameter.kind not in _PLAIN_KINDS:
        raise BadInput(where, f"is {parameter.kind.description}", "parameters that are given by name")
    if parameter.name not in hints:
        raise BadInput(where, "has no annotation", _ANNOTATIONS)


def _parameter(
    tool: str, parameter: inspect.Parameter, hint: object, documented: Documented, definitions: JsonSchema
) -> Parameter:
    """Adds the types that the parameter's schema refers to, to definitions."""
    try:
        (schema,), components = msgspec.json.schema_components([hint], ref_template="#/$defs/{name}")
        decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(hint)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{tool}.{parameter.name}", f"has no JSON Schema ({error})", _ANNOTATIONS) from error
    definitions.update(components)
    if parameter.name in documented.arguments:
        schema.setdefault("description", documented.arguments[parameter.name])
    if parameter.default is inspect.Parameter.empty:
        return Parameter(parameter.name, schema, decoder, required=True)
    try:
        schema["default"] = msgspec.to_builtins(parameter.default)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"{tool}.{parameter.name}", f"has a default that is no JSON value ({error})", _ANNOTATIONS
        ) from error
    return Parameter(parameter.name, schema, decoder, required=False, default=parameter.default)


def allowed(schema: Mapping[str, object]) -> str:
    """What a schema lets through, in words."""
    match schema:
        case {"enum": [*values]}:
            words = "one of " + ", ".join(str(value) for value in values)
        case {"anyOf": [*choices]}:
            words = " or ".join(allowed(choice) for choice in choices if isinstance(choice, dict))
        case {"pattern": str(pattern)}:
            words = f"text that matches {pattern}"
        case {"type": str(kind)}:
            words = _WORDS_OF_TYPE.get(kind, kind) + _bounds(schema)
        case _:
            words = "an object"
    description = schema.get("description")
    return f"{words} ({description})" if isinstance(description, str) else words


def _bounds(schema: Mapping[str, object]) -> str:
    names = {
        "minimum": "at least",
        "maximum": "at most",
        "minLength": "at least this long:",
        "maxLength": "at most this long:",
    }
    said = [f"{words} {schema[key]}" for key, words in names.items() if key in schema]
    return f" ({', '.join(said)})" if said else ""


def dictations_of(schema: object) -> tuple[str, ...]:
    """Patterns with digits anywhere in a schema, without anchors: what callers dictate in pieces (TurnRules)."""
    if isinstance(schema, list):
        return tuple(pattern for part in schema for pattern in dictations_of(part))
    if not isinstance(schema, dict):
        return ()
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and _DIGITS.search(pattern):
        return (_ANCHORS.sub("", pattern),)
    return tuple(found for part in schema.values() for found in dictations_of(part))
