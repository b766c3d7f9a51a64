"""How many calls a worker takes, from what its engine cost when it was tried at start.

What counts is CPU time, not the clock: a machine that is busy at that moment gives much the same answer. What is
far off all the same is brought within bounds. A call's duty: in DUTY_S one utterance of UTTERANCE_S and one sentence
of a dozen words.
"""

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trunkline.telemetry import logs

DUTY_S = 10.0
UTTERANCE_S = 4.5
SHARE = 0.5  # of the cores, so that what waits for a thread rarely waits for more than one other
LEAST_PER_CORE, MOST_PER_CORE = 2, 48
TRIED_S = 1.0
TRIES = 3

_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")

log = logs.get(__name__)


def capacity_measured(call_cost: Callable[[], float], cores: float) -> int:
    """call_cost: tries the engine; CPU seconds of a call, per second of it. Blocks. The log says what came of it."""
    try:
        cost = call_cost()
    except Exception as error:  # the rim of an engine: real words may please it more
        calls = calls_that_fit(math.inf, cores)
        log.warning("engine failed when it was tried", calls=calls, error=repr(error))
        return calls
    calls = calls_that_fit(cost, cores)
    log.info("capacity measured", calls=calls, cores=cores, call_ms_per_s=round(1000 * cost, 1))
    return calls


def cpu_cost(
    work: Callable[[], object],
    *,
    cpu_s: Callable[[], float] | None = None,
    now_s: Callable[[], float] = time.monotonic,
) -> float:
    """CPU seconds of work, the least of a few tries; none begins after TRIED_S. Blocks.

    cpu_s: of all threads that work; by default of this process, which does nothing else at start.
    """
    cpu_s = cpu_s or time.process_time
    costs: list[float] = []
    until_s = now_s() + TRIED_S
    while not costs or (len(costs) < TRIES and now_s() < until_s):
        before_s = cpu_s()
        work()
        costs.append(cpu_s() - before_s)
    return min(costs)


def calls_that_fit(call_cost: float, cores: float) -> int:
    """call_cost: CPU seconds of a call, per second of it."""
    most = max(1, int(MOST_PER_CORE * cores))
    if call_cost <= 0.0:
        return most
    return min(max(int(SHARE * cores / call_cost), int(LEAST_PER_CORE * cores), 1), most)


def cores_at_hand(limit: Path = _CPU_LIMIT) -> float:
    """That this process may use: by its affinity, and by its control group's quota (cgroup v2, cpu.max)."""
    cores = float(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    try:
        quota, period = limit.read_text().split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max": no quota
        return cores
