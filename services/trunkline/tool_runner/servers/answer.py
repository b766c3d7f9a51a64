"""From what a tool server answers to what the model reads. Pure.

Structured content counts where there is some, else the text; pictures and the like are named, never passed on.
"""

from collections.abc import Mapping

from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def value_of(result: CallToolResult) -> object:
    """What the model reads."""
    if result.structured_content is not None:
        return result.structured_content
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    return "\n".join(_named(block) for block in result.content)


def misfit(result: CallToolResult, output: Mapping[str, object]) -> str:
    """How a result is none of what the server promised, "" where it fits. output: its JSON Schema, empty for none.

    Looks at the top level alone, required names and types: a whole validation of a stranger's schema, with patterns
    of his own, takes as long as the stranger likes.
    """
    if not output:
        return ""
    value = result.structured_content
    if value is None:
        return "the structured content that was promised is missing"
    if not _is(value, output.get("type")):
        return f"the structured content is no {output.get('type')}"
    if not isinstance(value, dict):
        return ""
    required = output.get("required")
    for name in required if isinstance(required, list) else []:
        if name not in value:
            return f"{str(name)[:80]!r} is missing"
    properties = output.get("properties")
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        if name in value and isinstance(schema, dict) and not _is(value[name], schema.get("type")):
            return f"{str(name)[:80]!r} is no {schema['type']}"
    return ""


def _is(value: object, kind: object) -> bool:
    """Types that aren't known, or aren't told by one word, let everything through."""
    if not isinstance(kind, str) or kind not in _TYPES:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _named(block: ContentBlock) -> str:
    match block:
        case TextContent(text=text):
            return text
        case ImageContent() | AudioContent():
            return f"[{block.type}: {block.mime_type[:80]}, not shown]"
        case ResourceLink(name=name):
            return f"[link: {name[:200]}]"
        case EmbeddedResource(resource=TextResourceContents(text=text)):
            return text
        case EmbeddedResource(resource=resource):
            return f"[resource: {resource.uri[:200]}, not shown]"
