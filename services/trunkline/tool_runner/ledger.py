"""What this process runs and has run lately, by attempt: a bounded cache of the claims that it holds or has read.

Only a claim lets an order run; the ledger spares an order that comes again the way to the store.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

from trunkline.proto.tool import ToolResult
from trunkline.record import Attempt

FINISHED_RUNS = 4096
FINISHED_BYTES = 16 * 1024 * 1024


RunT = TypeVar("RunT")


class Ledger(Generic[RunT]):
    def __init__(self, limit_runs: int = FINISHED_RUNS, limit_bytes: int = FINISHED_BYTES) -> None:
        self.running: dict[Attempt, RunT] = {}
        self._finished: OrderedDict[Attempt, ToolResult] = OrderedDict()
        self._finished_bytes = 0
        self._limit_runs = limit_runs
        self._limit_bytes = limit_bytes

    def begin(self, attempt: Attempt, run: RunT) -> None:
        self.running[attempt] = run

    def drop(self, attempt: Attempt) -> None:
        """It doesn't run here after all."""
        del self.running[attempt]

    def finish(self, attempt: Attempt, result: ToolResult) -> None:
        """Forgets the oldest results over the limits."""
        del self.running[attempt]
        self._finished[attempt] = result
        self._finished_bytes += _size_bytes(result)
        while len(self._finished) > self._limit_runs or self._finished_bytes > self._limit_bytes:
            _, oldest = self._finished.popitem(last=False)
            self._finished_bytes -= _size_bytes(oldest)

    def result_of(self, attempt: Attempt) -> ToolResult | None:
        return self._finished.get(attempt)


def _size_bytes(result: ToolResult) -> int:
    """About: characters count as bytes."""
    return len(result.output) + len(result.state_patch)
