"""The record keeps a tool's intent waiting, as while a shard elects its leader: the caller is told, once per answer.

Rule: nothing else in a call waits for the record, so nothing else is excused.
"""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType

from trunkline.proto.errors import Fenced
from trunkline.record import CallLog

RECORD_WAIT_S = 1.5  # without an acknowledgement: hundreds of times what one takes, a quarter of an election
WAITING = "This is taking a little longer than usual."


class RecordWait:
    """`with` it while tools are taken to their commit point; `tell` is called within if the record is that slow.

    tell: once, however often it is entered.
    """

    def __init__(self, call_log: CallLog, tell: Callable[[], None]) -> None:
        self._log = call_log
        self._tell = tell
        self._told = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if not self._told:
            self._look_in(RECORD_WAIT_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        left_s = RECORD_WAIT_S - self._log.waits_s
        if left_s > 0.0:  # policy, or another entry, took the time
            self._look_in(left_s)
        else:
            self._told = True
            with contextlib.suppress(Fenced):  # another has the call: nothing is told here any more
                self._tell()
