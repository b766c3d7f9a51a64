"""What this process runs and has run lately, by call and idempotency key: an order that comes again runs once.

The memory is this process's alone and bounded: an order that is sent again after a runner was lost, or that reaches
another runner, is not known there. Claims kept beside the call's record will close that gap at `begin`.
"""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

from trunkline.proto.tool import ToolResult

FINISHED_RUNS = 4096
FINISHED_BYTES = 16 * 1024 * 1024


class Key(NamedTuple):
    """key: the order's idempotency key, unique within its call."""

    call: str
    key: str


RunT = TypeVar("RunT")


class Ledger(Generic[RunT]):
    def __init__(self, limit_runs: int = FINISHED_RUNS, limit_bytes: int = FINISHED_BYTES) -> None:
        self.running: dict[Key, RunT] = {}
        self._finished: OrderedDict[Key, ToolResult] = OrderedDict()
        self._finished_bytes = 0
        self._limit_runs = limit_runs
        self._limit_bytes = limit_bytes

    def begin(self, key: Key, run: RunT) -> None:
        self.running[key] = run

    def finish(self, key: Key, result: ToolResult) -> None:
        """Forgets the oldest results over the limits."""
        del self.running[key]
        self._finished[key] = result
        self._finished_bytes += _size_bytes(result)
        while len(self._finished) > self._limit_runs or self._finished_bytes > self._limit_bytes:
            _, oldest = self._finished.popitem(last=False)
            self._finished_bytes -= _size_bytes(oldest)

    def result_of(self, key: Key) -> ToolResult | None:
        return self._finished.get(key)


def _size_bytes(result: ToolResult) -> int:
    """About: characters count as bytes."""
    return len(result.output) + len(result.state_patch)
