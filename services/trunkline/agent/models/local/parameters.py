"""What a tool's JSON Schema asks for, as far as the local model can look for it in words.

Pure. A part of a schema that isn't understood is taken for any text.
"""

from typing import NamedTuple

from trunkline.agent.models.seam import ToolOffer

Value = str | int | float | bool


class ParameterNeed(NamedTuple):
    """values: allowed ones, empty for any. pattern: "" for any text. kind: JSON Schema's type."""

    name: str
    kind: str
    required: bool
    values: tuple[Value, ...] = ()
    pattern: str = ""
    description: str = ""
    default: object = None


def parameters_of(tool: ToolOffer) -> list[ParameterNeed]:
    properties = tool.parameters.get("properties")
    required = tool.parameters.get("required")
    if not isinstance(properties, dict):
        return []
    names = required if isinstance(required, list) else []
    return [_need(str(name), _resolved(schema, tool.parameters), name in names) for name, schema in properties.items()]


def _resolved(schema: object, root: dict[str, object]) -> dict[str, object]:
    """A schema with its reference followed and the null of an optional taken away."""
    if not isinstance(schema, dict):
        return {}
    definitions = root.get("$defs")
    reference = schema.get("$ref")
    if isinstance(reference, str) and isinstance(definitions, dict):
        return _resolved(definitions.get(reference.rpartition("/")[2]), root) | _described(schema)
    choices = schema.get("anyOf")
    if isinstance(choices, list):
        real = [choice for choice in choices if isinstance(choice, dict) and choice.get("type") != "null"]
        return _resolved(real[0], root) | _described(schema) if real else {}
    return schema


def _described(schema: dict[str, object]) -> dict[str, object]:
    return {key: schema[key] for key in ("description", "default") if key in schema}


def _need(name: str, schema: dict[str, object], required: bool) -> ParameterNeed:
    enum = schema.get("enum")
    values = tuple(value for value in enum if isinstance(value, str | int | float)) if isinstance(enum, list) else ()
    kind, pattern, description = (schema.get(key) for key in ("type", "pattern", "description"))
    return ParameterNeed(
        name,
        kind if isinstance(kind, str) else "string",
        required,
        values,
        pattern if isinstance(pattern, str) else "",
        description if isinstance(description, str) else "",
        schema.get("default"),
    )
