"""What a level of detail means in pixels, for each family of models. Pure, in whole numbers.

A picture is never enlarged, and keeps its shape: scaling it once more to the same level changes nothing.
Source: /v1/responses and the vendor's guide to images, "detail" and "patch budgets".
"""

import re
from collections.abc import Callable
from math import isqrt
from typing import Literal, NamedTuple

from trunkline.proto.image import Detail

PATCH_PIXELS = 32  # both sides of a patch
TILE_PIXELS = 512
LOW_PIXELS = 512  # both sides of the square that a picture at low detail fits into
TILED_SQUARE_PIXELS = 2048
TILED_SHORT_PIXELS = 768
MODEL_CHARACTERS = 200  # of a model's name that are looked at

Level = Literal["low", "high", "original"]


class Size(NamedTuple):
    """Pixels, each at least 1."""

    width: int
    height: int


Rule = Callable[[Size], Size]


class Family(NamedTuple):
    """Models that look at pictures alike. original: None where they know no such level. auto: the level it means."""

    name: str
    high: Rule
    original: Rule | None
    auto: Level

    def level(self, detail: Detail) -> Level:
        """ "original" is "high" where it isn't known."""
        level = self.auto if detail == "auto" else detail
        return "high" if level == "original" and self.original is None else level

    def target(self, size: Size, level: Level) -> Size:
        """size: upright."""
        match level:
            case "low":
                return within_square(size, LOW_PIXELS)
            case "original" if self.original is not None:
                return self.original(size)
            case _:
                return self.high(size)


def patches_of(size: Size) -> int:
    return -(-size.width // PATCH_PIXELS) * -(-size.height // PATCH_PIXELS)


def tiles_of(size: Size) -> int:
    return -(-size.width // TILE_PIXELS) * -(-size.height // TILE_PIXELS)


def within_square(size: Size, side: int) -> Size:
    return _within(size, side, side)


def within_patches(size: Size, budget: int) -> Size:
    """Scaled so that whole patches cover one of its sides, and all of it costs no more than the budget, 1 or more.

    The guide scales by sqrt(32 * 32 * budget / (width * height)), and then by what makes one side whole patches: that
    fits the picture into as many whole patches as that first scale has room for.
    """
    if patches_of(size) <= budget:
        return size
    columns = min(max(1, isqrt(budget * size.width // size.height)), budget)
    rows = min(max(1, isqrt(budget * size.height // size.width)), budget // columns)
    return _within(size, columns * PATCH_PIXELS, rows * PATCH_PIXELS)


def tiled(size: Size) -> Size:
    """Into the square first, then to the short side."""
    fitted = within_square(size, TILED_SQUARE_PIXELS)
    if fitted.width <= fitted.height:
        return _within(fitted, TILED_SHORT_PIXELS, fitted.height)
    return _within(fitted, fitted.width, TILED_SHORT_PIXELS)


def _patches(budget: int, side: int) -> Rule:
    return lambda size: within_patches(within_square(size, side), budget)


def _within(size: Size, width: int, height: int) -> Size:
    """The largest of the same shape in this box, to the nearest pixel."""
    if size.width <= width and size.height <= height:
        return size
    if size.width * height >= size.height * width:  # its width decides
        return Size(width, max(1, _rounded(size.height * width, size.width)))
    return Size(max(1, _rounded(size.width * height, size.height)), height)


def _rounded(number: int, by: int) -> int:
    return (2 * number + by) // (2 * by)


_LARGE = _patches(2500, 2048)
_WHOLE = _patches(10_000, 6000)
KEEN = Family("keen", _LARGE, _WHOLE, "original")
DETAILED = Family("detailed", _LARGE, _WHOLE, "high")
COMPACT = Family("compact", _patches(1536, 2048), None, "high")
TILED = Family("tiled", tiled, None, "high")
UNKNOWN = COMPACT  # of a model that this table doesn't know: enough to read a page by, and no more than others take

_NAMES: tuple[tuple[str, Family], ...] = (  # the first that a name begins with
    (r"(chat)?gpt-4o", TILED),  # its mini too
    (r".*-(mini|nano)\b", COMPACT),
    (r"o\d|gpt-4|gpt-5(\.1)?(?![.\d])", TILED),
    (r"gpt-5\.[23](?!\d)", COMPACT),
    (r"gpt-5\.4(?!\d)", DETAILED),
    (r"gpt-(5\.|[6-9]|\d\d)", KEEN),
)


def family_of(model: str) -> Family:
    """model: its name at the endpoint, with or without what stands before it: a host ("openai/gpt-5.5"), "ft:" of one
    that was tuned."""
    name = model[-MODEL_CHARACTERS:].lower().rpartition("/")[2].removeprefix("ft:")
    return next((family for pattern, family in _NAMES if re.match(pattern, name)), UNKNOWN)
