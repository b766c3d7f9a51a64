"""What else the machine did while a run lasted: CPU that neither the server nor the bench nor its callers took.

Sources: proc(5), /proc/stat; getrusage(2).
"""

import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

from trunkline.cli.load import processes

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TAKEN = (0, 1, 2, 7)  # fields of the cpu line: user, nice, system, steal; what sockets cost in softirq is nobody's


class Look(NamedTuple):
    at_s: float
    busy_s: float
    own_s: float


def look(pids: processes.Pids) -> Look:
    """pids: of the server. The callers' processes count once they have ended, so look before and after them."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    busy_s = sum(fields[at] for at in _TAKEN) / _TICKS_PER_S
    return Look(time.monotonic(), busy_s, sum(processes.cpu_s(pids).values()) + _bench_s())


def foreign_share(before: Look, after: Look) -> float:
    """Of all cores."""
    foreign_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return max(0.0, foreign_s) / ((after.at_s - before.at_s) * (os.cpu_count() or 1))


def _bench_s() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
