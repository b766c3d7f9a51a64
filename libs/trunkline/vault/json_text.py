"""Changes values within a text of JSON, and not a character beside them."""

import json
import re
from collections.abc import Callable

_PIECE = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*")(?P<key>\s{0,8}:)?|(?P<number>(?<![\d.eE+-])-?\d+(?![\d.eE]))', re.DOTALL
)


def changed(text: str, change: Callable[[str, str], str], *, numbers: bool = False) -> str:
    """text: JSON. change: given a string and the key that it stands behind, what is to stand there.

    numbers: whole numbers too, by their digits; what is changed becomes a string.
    """
    key = ""

    def piece(match: re.Match[str]) -> str:
        nonlocal key
        if match.lastgroup == "number":
            given = match.group()
            fresh = change(given, key) if numbers else given
            return given if fresh == given else json.dumps(fresh)
        literal = match.group("text")
        value = str(json.loads(literal, strict=False)) if "\\" in literal else literal[1:-1]
        fresh = change(value, key)
        if match.group("key") is not None:
            key = value
        return (literal if fresh == value else json.dumps(fresh)) + (match.group("key") or "")

    return _PIECE.sub(piece, text)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
