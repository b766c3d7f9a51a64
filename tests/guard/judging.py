"""What the hot path costs in units of the reference, measured right before and behind it; the median of ROUNDS counts.

From run to run such a median strays half as far as the least of the path over the least of the reference: a cache or a
core that others use takes from both, where they run at the same time. What is above a limit is measured again: a path
that is dearer stays so.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import NamedTuple

from guard import reference
from guard.path import DIALECTS, Cost, Path
from support.virtual import VirtualLoop
from trunkline.gateway.dialects.realtime.terms import Dialect

ROUND_S = 0.2
UNITS = 1_000
ROUNDS = 16
ATTEMPTS = 4


class Ratios(NamedTuple):
    """Units of the reference, in the median: per frame from the client's bytes to the bus, by dialect, per frame at
    STT, and per delta from TTS's chunk to the client's event, by dialect. json_to_binary: of the first two."""

    gateway_json: float
    gateway_binary: float
    stt: float
    out_json: float
    out_binary: float
    json_to_binary: float

    def above(self, limits: "Ratios") -> list[str]:
        """Names of those that are."""
        return [name for name, is_, allowed in zip(self._fields, self, limits, strict=True) if is_ > allowed]


def measured(limits: Ratios, attempts: int = ATTEMPTS) -> Ratios:
    """Each dialect's calls are on a loop of their own, so that what time brings to the others is not theirs."""
    with ExitStack() as stack:
        json, binary = (stack.enter_context(_running(dialect)) for dialect in DIALECTS.values())
        stack.enter_context(_uncollected())
        reference.unit_us(UNITS)  # warm
        for _ in range(attempts):
            rounds = [_round(json, binary) for _ in range(ROUNDS)]
            found = Ratios(*map(median, zip(*rounds, strict=True)))
            if not found.above(limits):
                break
    return found


def _round(json: Callable[[], Cost], binary: Callable[[], Cost]) -> Ratios:
    before_us = reference.unit_us(UNITS)
    json_us = json()
    between_us = reference.unit_us(UNITS)
    binary_us = binary()
    after_us = reference.unit_us(UNITS)
    by_json, by_binary = (before_us + between_us) / 2, (between_us + after_us) / 2
    return Ratios(
        json_us.gateway_us / by_json,
        binary_us.gateway_us / by_binary,
        json_us.stt_us / by_json,
        json_us.out_us / by_json,
        binary_us.out_us / by_binary,
        json_us.gateway_us / binary_us.gateway_us,
    )


@contextmanager
def _running(dialect: Dialect) -> Iterator[Callable[[], Cost]]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        path = Path(dialect)
        runner.run(path.__aenter__())
        try:
            yield lambda: runner.run(path.measure(ROUND_S))
        finally:
            runner.run(path.__aexit__())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collections would be of what other tests left."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
