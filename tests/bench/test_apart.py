"""What a variant costs is told from runs of the same repeat that count, and only of variants that took place."""

from types import SimpleNamespace
from typing import cast

import pytest

from bench.apart import AS_IT_IS, SERVICES, VARIANTS, Made, Variant, require_apart, text
from trunkline.cli.load.report import Report
from trunkline.cli.load.stages import StageMs

AS_IS, TRACED, UNTRACED, SCRAPED, IN_MEMORY = VARIANTS


def made(
    variant: str, repeat: int = 0, total_ms: float = 3.0, *, valid: bool = True, appends: int = 9, **told: object
) -> Made:
    report = SimpleNamespace(
        cpu_ms_per_call_second={"total": total_ms} | dict.fromkeys(SERVICES, total_ms / 5),
        valid=valid,
        failed_calls=0,
        added_ms=SimpleNamespace(p50=2.0),
        stages_ms={"record: append": StageMs(appends, 1.0, 1.0, 1.0, 1.0)},
    )
    given: dict[str, object] = {"exported_bytes": 0, "scrapes": 0, "recorded": True} | told
    return Made(variant, repeat, report=cast(Report, report), **given)  # type: ignore[arg-type]  # as told


def test_a_variant_is_compared_with_the_stack_as_it_is_in_the_same_repeat() -> None:
    runs = [
        *(made(AS_IT_IS, repeat, total_ms) for repeat, total_ms in enumerate((3.0, 6.0, 3.0))),
        *(made(TRACED.name, repeat, total_ms) for repeat, total_ms in enumerate((3.5, 6.1, 3.2))),
    ]

    row = next(line for line in text(runs) if line.startswith(TRACED.name))

    told = "3 3.50 (3.20 to 6.10) 0.20 (0.10 to 0.50) 0.04 0.04 0.04 0.04 0.04 2.00 (2.00 to 2.00)"
    assert row.split()[2:] == told.split()


def test_a_run_whose_callers_were_late_takes_its_repeat_along() -> None:
    runs = [made(AS_IT_IS, 0, valid=False), made(TRACED.name, 0), made(AS_IT_IS, 1), made(TRACED.name, 1, 4.0)]

    row = next(line for line in text(runs) if line.startswith(TRACED.name))

    assert row.split()[2:7] == ["1", "4.00", "(4.00", "to", "4.00)"]


TOOK_PLACE = (
    (AS_IS, made(AS_IT_IS)),
    (TRACED, made(TRACED.name, exported_bytes=1)),
    (UNTRACED, made(UNTRACED.name)),
    (SCRAPED, made(SCRAPED.name, scrapes=1)),
    (IN_MEMORY, made(IN_MEMORY.name, recorded=False)),
)


@pytest.mark.parametrize(("variant", "run"), TOOK_PLACE)
def test_what_took_place_is_a_figure(variant: Variant, run: Made) -> None:
    assert require_apart(variant, run) is run


@pytest.mark.parametrize("variant", [TRACED, SCRAPED, IN_MEMORY])
def test_what_did_not_take_place_is_none(variant: Variant) -> None:
    with pytest.raises(SystemExit, match=variant.name):
        require_apart(variant, made(variant.name))


def test_a_run_without_an_append_is_no_figure() -> None:
    with pytest.raises(SystemExit, match="nothing was appended"):
        require_apart(AS_IS, made(AS_IT_IS, appends=0))
