"""What recurs at rest shares wakeups: every process does it at the same multiples of PULSE_S of the machine's clock.

A wakeup of an idle process costs more than what it does then. Under load nothing waits for a pulse.
"""

from math import floor

from trunkline.proto.placement import IDLE_BEAT_S

PULSE_S = IDLE_BEAT_S
_EARLY_S = 0.01  # a timer may run so much before its time, and that pulse is over then


def next_pulse_s(now_s: float) -> float:
    """now_s: of the loop's clock, which is the machine's monotonic one."""
    return (floor((now_s + _EARLY_S) / PULSE_S) + 1) * PULSE_S
