"""A tool's docstring, taken apart: what the model reads about the tool and about each argument (Google style)."""

import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):\s*$", re.MULTILINE)
_ARGUMENT = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Documented:
    description: str = ""
    arguments: dict[str, str] = field(default_factory=dict)


def parse_docstring(text: str) -> Documented:
    """text: dedented, as inspect.getdoc gives it. The description ends where the first section begins."""
    first = _SECTION.search(text)
    description = " ".join(text[: first.start() if first else None].split())
    for section in _SECTION.finditer(text):
        if section[1] in ("Args", "Arguments", "Parameters"):
            after = _SECTION.search(text, section.end())
            return Documented(description, _arguments(text[section.end() : after.start() if after else None]))
    return Documented(description)


def _arguments(section: str) -> dict[str, str]:
    """`name: words` or `name (type): words`; a line indented further continues the words above it."""
    lines = [line for line in section.splitlines() if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    arguments: dict[str, str] = {}
    name = ""
    for line in lines:
        match = _ARGUMENT.match(line.strip()) if len(line) - len(line.lstrip()) == margin else None
        if match:
            name = match[1]
            arguments[name] = match[2].strip()
        elif name:
            arguments[name] = f"{arguments[name]} {line.strip()}".strip()
    return arguments
