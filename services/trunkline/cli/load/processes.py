"""What processes cost, by the kernel's own accounting (Linux).

CPU is the process's own clock, in nanoseconds and with threads that have ended; /proc/PID/stat counts in ticks of
10 ms. Sources: clock_getcpuclockid(3) and the kernel's posix-timers.h for the clock's number; proc(5).
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trunkline.cli.errors import ProcessEnded

ACCOUNTING = "process clocks of the kernel (user and system, all threads), nanoseconds"
_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED

Pids = Mapping[str, Sequence[int]]  # by service


def cpu_s(pids: Pids) -> dict[str, float]:
    """User and system seconds since each process began, by service. Raises ProcessEnded."""
    return {service: sum(_cpu_s(service, pid) for pid in of_service) for service, of_service in pids.items()}


def rss_kb(pids: Pids) -> dict[str, int]:
    """Raises ProcessEnded."""
    return {service: sum(_rss_kb(service, pid) for pid in of_service) for service, of_service in pids.items()}


def _cpu_s(service: str, pid: int) -> float:
    try:
        return time.clock_gettime_ns(~pid << 3 | _CLOCK_OF_PROCESS) / 1e9
    except OSError:
        raise ProcessEnded(service, pid) from None


def _rss_kb(service: str, pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        raise ProcessEnded(service, pid) from None
