"""How late frames are sent against the media clock, as a histogram: every frame counts, for a list's increment."""

from collections.abc import Iterable, Sequence

BUCKET_MS = 0.1
BUCKETS = 10_000  # the last one: a second and more
LIMIT_MS = 25.0  # 99th percentile from which on a run tells of its generator, not of what was measured


class Lateness:
    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.worst_ms = 0.0

    def add(self, late_s: float, frames: int) -> None:
        late_ms = late_s * 1000
        if late_ms > self.worst_ms:
            self.worst_ms = late_ms
        at = int(late_ms / BUCKET_MS) if late_ms > 0 else 0
        self.counts[at if at < BUCKETS else BUCKETS - 1] += frames


def joined(histograms: Iterable[Sequence[int]]) -> list[int]:
    """Counts beyond the end of one are 0: they travel without their trailing zeros."""
    whole = [0] * BUCKETS
    for counts in histograms:
        for at, count in enumerate(counts):
            whole[at] += count
    return whole


def percentile_ms(counts: Sequence[int], percent: float) -> float:
    """The upper end of the bucket that it falls into, 0 of nothing."""
    wanted = sum(counts) * percent / 100
    seen = 0
    for at, count in enumerate(counts):
        seen += count
        if seen >= wanted and seen:
            return round((at + 1) * BUCKET_MS, 1)
    return 0.0
