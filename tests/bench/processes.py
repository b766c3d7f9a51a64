"""What processes cost, by the kernel's own accounting (Linux). Source: proc(5), /proc/PID/stat and status."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12  # fields of stat after the command's closing bracket

Pids = Mapping[str, Sequence[int]]  # by stage


def cpu_s(pids: Pids) -> dict[str, float]:
    """User and system seconds since each process began, by stage."""
    return {stage: sum(_cpu_s(pid) for pid in of_stage) for stage, of_stage in pids.items()}


def rss_kb(pids: Pids) -> dict[str, int]:
    return {stage: sum(_rss_kb(pid) for pid in of_stage) for stage, of_stage in pids.items()}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_S


def _rss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
