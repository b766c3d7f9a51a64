"""Sizes of pictures per level of detail and family of models: worked examples, and what holds for any picture."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.images.detail import (
    COMPACT,
    DETAILED,
    KEEN,
    TILED,
    UNKNOWN,
    Family,
    Level,
    Size,
    family_of,
    patches_of,
    tiles_of,
    within_patches,
)
from trunkline.proto.image import Detail

SIDES = st.integers(1, 40_000)
SIZES = st.builds(Size, SIDES, SIDES)
FAMILIES = st.sampled_from((KEEN, DETAILED, COMPACT, TILED))
LEVELS: st.SearchStrategy[Level] = st.sampled_from(("low", "high", "original"))


def test_the_worked_example_comes_out_exactly() -> None:
    scaled = within_patches(Size(1800, 2400), 1536)

    assert (scaled, patches_of(scaled)) == (Size(1056, 1408), 1452)
    assert patches_of(Size(1800, 2400)) == 57 * 75
    assert scaled == COMPACT.target(Size(1800, 2400), "high")


@pytest.mark.parametrize(
    ("family", "level", "size", "target"),
    [
        (KEEN, "original", (4000, 3000), (3669, 2752)),  # 86 whole rows: 9,890 of 10,000 patches
        (KEEN, "original", (1800, 2400), (1800, 2400)),
        (KEEN, "original", (12_000, 500), (6000, 250)),
        (KEEN, "high", (4000, 3000), (1824, 1368)),  # 57 whole columns: 2,451 of 2,500 patches
        (DETAILED, "high", (1800, 2400), (1368, 1824)),
        (DETAILED, "high", (3000, 600), (2048, 410)),
        (COMPACT, "high", (1024, 1024), (1024, 1024)),  # 1,024 patches are within
        (COMPACT, "high", (5000, 300), (2048, 123)),
        (TILED, "high", (1024, 1024), (768, 768)),
        (TILED, "high", (2048, 4096), (768, 1536)),
        (TILED, "high", (640, 480), (640, 480)),
        (TILED, "high", (6000, 1000), (2048, 341)),
        (KEEN, "low", (1800, 2400), (384, 512)),
        (TILED, "low", (2000, 1000), (512, 256)),
        (COMPACT, "low", (100, 50), (100, 50)),
        (COMPACT, "low", (40_000, 1), (512, 1)),
    ],
)
def test_a_level_has_its_size(family: Family, level: Level, size: tuple[int, int], target: tuple[int, int]) -> None:
    assert target == tuple(family.target(Size(*size), level))


def test_the_tiles_of_the_vendors_examples() -> None:
    assert [tiles_of(TILED.target(Size(*size), "high")) for size in ((1024, 1024), (2048, 4096))] == [4, 6]


@given(SIZES, FAMILIES, LEVELS)
def test_no_picture_is_enlarged_and_none_vanishes(size: Size, family: Family, level: Level) -> None:
    target = family.target(size, level)

    assert 1 <= target.width <= size.width
    assert 1 <= target.height <= size.height


@given(SIZES, FAMILIES, LEVELS)
def test_a_picture_keeps_its_shape_to_the_pixel(size: Size, family: Family, level: Level) -> None:
    target = family.target(size, level)

    # one side decides the scale: the other is as near as a pixel, for each of two steps
    off = abs(target.width * size.height - target.height * size.width)
    assert off <= 2 * max(size)


@given(SIZES, st.integers(1, 12_000))
@example(Size(40_000, 1), 7)
@example(Size(1, 40_000), 1)
def test_a_budget_of_patches_is_never_exceeded(size: Size, budget: int) -> None:
    scaled = within_patches(size, budget)

    assert patches_of(scaled) <= budget
    assert (scaled == size) == (patches_of(size) <= budget)


@given(SIZES)
def test_each_family_keeps_its_limits(size: Size) -> None:
    high, whole = DETAILED.target(size, "high"), DETAILED.target(size, "original")
    compact, tiled, low = COMPACT.target(size, "high"), TILED.target(size, "high"), KEEN.target(size, "low")

    assert (patches_of(high) <= 2500, max(high) <= 2048) == (True, True)
    assert (patches_of(whole) <= 10_000, max(whole) <= 6000) == (True, True)
    assert (patches_of(compact) <= 1536, max(compact) <= 2048) == (True, True)
    assert (max(tiled) <= 2048, min(tiled) <= 768, tiles_of(tiled) <= 8) == (True, True, True)
    assert max(low) <= 512


@given(SIZES, FAMILIES, LEVELS)
def test_scaling_once_more_changes_nothing(size: Size, family: Family, level: Level) -> None:
    target = family.target(size, level)

    assert family.target(target, level) == target


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-5.5", KEEN),
        ("gpt-5.5-2026-04-01", KEEN),
        ("openai/gpt-5.5", KEEN),
        ("gpt-5.10", KEEN),
        ("gpt-6", KEEN),
        ("gpt-5.4", DETAILED),
        ("GPT-5.4-2026-03-05", DETAILED),
        ("gpt-5.4-mini", COMPACT),
        ("gpt-5.5-nano", COMPACT),
        ("gpt-5-mini", COMPACT),
        ("gpt-5.2", COMPACT),
        ("o4-mini", COMPACT),
        ("gpt-4.1-mini", COMPACT),
        ("gpt-4.1-nano-2025-04-14", COMPACT),
        ("gpt-4o", TILED),
        ("ft:gpt-4o-2024-08-06:us:desk:1", TILED),
        ("ft:gpt-4.1-mini-2025-04-14:us:desk:1", COMPACT),
        ("gpt-4o-mini", TILED),
        ("chatgpt-4o-latest", TILED),
        ("gpt-4.1", TILED),
        ("gpt-4-turbo", TILED),
        ("o1", TILED),
        ("o3-2025-04-16", TILED),
        ("gpt-5", TILED),
        ("gpt-5-2025-08-07", TILED),
        ("qwen2.5-vl-7b", UNKNOWN),
        ("", UNKNOWN),
        ("x" * 100_000, UNKNOWN),
    ],
)
def test_a_models_name_says_its_family(model: str, family: Family) -> None:
    assert family is family_of(model)


@pytest.mark.parametrize(
    ("family", "levels"),
    [
        (KEEN, ("original", "low", "high", "original")),
        (DETAILED, ("high", "low", "high", "original")),
        (COMPACT, ("high", "low", "high", "high")),
        (TILED, ("high", "low", "high", "high")),
    ],
)
def test_what_each_family_makes_of_a_detail(family: Family, levels: tuple[Level, ...]) -> None:
    details: tuple[Detail, ...] = ("auto", "low", "high", "original")

    assert levels == tuple(family.level(detail) for detail in details)
