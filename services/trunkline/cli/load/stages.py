"""What the services' own histograms say of a run: the difference between two looks at their metrics.

A percentile is as fine as the buckets are: within one, observations are taken to lie evenly. The mean is exact.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

STAGES: Mapping[str, str] = {  # in the order of a turn
    "setup: placing": "trunkline_gateway_placing_seconds",
    "stt: final words": "trunkline_stt_final_seconds",
    "agent: first segment": "trunkline_agent_first_segment_seconds",
    "record: append": "trunkline_record_append_seconds",
    "tts: first audio": "trunkline_tts_first_audio_seconds",
    "gateway: first answer": "trunkline_gateway_first_answer_seconds",
    "gateway: playout late": "trunkline_gateway_playout_late_seconds",
    "gateway: ticker late": "trunkline_gateway_ticker_late_seconds",
}
SCRAPE_LIMIT_S = 5.0


class Histogram(NamedTuple):
    """counts: of observations up to each bound, cumulative; the last bound is infinite."""

    bounds_s: tuple[float, ...]
    counts: tuple[float, ...]
    sum_s: float


class StageMs(msgspec.Struct, frozen=True):
    count: int
    mean: float
    p50: float
    p90: float
    p99: float


Look = dict[str, Histogram]  # by the metric's name, over all workers


async def look(admin_ports: Iterable[int]) -> Look:
    """A worker that doesn't answer has no part in it."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SCRAPE_LIMIT_S)) as session:
        pages = await asyncio.gather(*(_page(session, port) for port in admin_ports))
    return summed(_histograms(page) for page in pages)


async def _page(session: aiohttp.ClientSession, port: int) -> str:
    try:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            return await answer.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""


def _histograms(page: str) -> Look:
    wanted = set(STAGES.values())
    found: Look = {}
    for family in text_string_to_metric_families(page):
        if family.name not in wanted:
            continue
        counts: dict[float, float] = {}
        sum_s = 0.0
        for sample in family.samples:  # of several labels, all together
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                counts[bound] = counts.get(bound, 0.0) + sample.value
            elif sample.name.endswith("_sum"):
                sum_s += sample.value
        bounds = tuple(sorted(counts))
        found[family.name] = Histogram(bounds, tuple(counts[bound] for bound in bounds), sum_s)
    return found


def summed(looks: Iterable[Look]) -> Look:
    whole: Look = {}
    for each in looks:
        for name, one in each.items():
            before = whole.get(name)
            if before is None or before.bounds_s != one.bounds_s:
                whole[name] = one if before is None or not any(before.counts) else before
                continue
            counts = tuple(a + b for a, b in zip(before.counts, one.counts, strict=True))
            whole[name] = Histogram(one.bounds_s, counts, before.sum_s + one.sum_s)
    return whole


def between(before: Look, after: Look) -> dict[str, StageMs]:
    """By STAGES' names; without those of which nothing was observed."""
    found = {}
    for stage, name in STAGES.items():
        if name not in after:
            continue
        new, old = after[name], before.get(name)
        if old is not None and old.bounds_s == new.bounds_s:
            counts = tuple(b - a for a, b in zip(old.counts, new.counts, strict=True))
            new = Histogram(new.bounds_s, counts, new.sum_s - old.sum_s)
        if new.counts and new.counts[-1] > 0:
            found[stage] = _figures(new)
    return found


def _figures(one: Histogram) -> StageMs:
    count = int(one.counts[-1])
    percentiles = (_percentile_ms(one.bounds_s, one.counts, percent) for percent in (50, 90, 99))
    return StageMs(count, round(1000 * one.sum_s / count, 2), *percentiles)


def _percentile_ms(bounds_s: Sequence[float], counts: Sequence[float], percent: float) -> float:
    """Beyond the last finite bound it is that bound."""
    wanted = counts[-1] * percent / 100
    low_s = seen = 0.0
    for bound_s, count in zip(bounds_s, counts, strict=True):
        if count >= wanted:
            share = (wanted - seen) / (count - seen) if count > seen else 1.0
            return round(1000 * (low_s + (bound_s - low_s) * share if bound_s != float("inf") else low_s), 2)
        low_s, seen = bound_s, count
    return round(1000 * low_s, 2)
