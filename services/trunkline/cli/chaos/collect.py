"""What a stack keeps of its calls, read from its store as it lies there, and what its processes hold at rest."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from trunkline.bus.nats import NatsBus
from trunkline.cli.chaos.evidence import Claimed, Recorded, Resting
from trunkline.proto.placement import Beat
from trunkline.proto.record import Ended, ToolIntended, decode_entry
from trunkline.record import Attempt, NatsClaimStore, NatsRecordStore, StoredEntry

FIGURES: Mapping[str, str] = {  # of /metrics, in evidence
    "trunkline_worker_calls": "calls",
    "trunkline_gateway_calls": "calls",
    "trunkline_worker_tasks": "tasks",
    "trunkline_bus_holds": "holds",
    "trunkline_stt_waiting": "waiting",
    "trunkline_tool_runner_running_runs": "runs",
    "trunkline_tool_runner_lost_runs": "lost_runs",
    "process_resident_memory_bytes": "rss_kb",
}
SCRAPE_LIMIT_S = 5.0
END_LIMIT_S = 40.0  # for a record to have its end: the resume window, and an adoption
_POLL_S = 0.5

Figures = dict[str, float]


class Records:
    """bus: open; it stays the caller's."""

    def __init__(self, bus: NatsBus) -> None:
        self._store, self._claims = NatsRecordStore(bus.client), NatsClaimStore(bus.client)

    async def start(self) -> None:
        await self._store.ensure()
        await self._claims.ensure()

    async def stop(self) -> None:
        await self._claims.close()
        await self._store.close()

    async def ended(self, calls: Iterable[str]) -> None:
        """Until each record has its end, or END_LIMIT_S is over."""
        left = set(calls)
        try:
            async with asyncio.timeout(END_LIMIT_S):
                while left:
                    left -= {call for call in left if _has_end(await self.read(call))}
                    await asyncio.sleep(_POLL_S if left else 0)
        except TimeoutError:
            return

    async def read(self, call: str) -> list[Recorded]:
        return [
            Recorded(stored.seq, decode_entry(stored.data), _stored_s(stored))
            for stored in await self._store.read(call)
        ]

    async def claims(self, call: str, entries: Iterable[Recorded]) -> list[Claimed]:
        intents = (event for one in entries for event in one.entry.events if isinstance(event, ToolIntended))
        found = []
        for intent in intents:
            stored = await self._claims.read(Attempt(call, intent.key))
            if stored is not None:
                found.append(Claimed(intent.key, 1, stored.claim))
        return found


def _has_end(entries: list[Recorded]) -> bool:
    return any(isinstance(event, Ended) for one in entries for event in one.entry.events)


def _stored_s(stored: StoredEntry) -> float:
    """Nanoseconds are more than datetime takes: microseconds are left of them."""
    if not stored.stored_at:
        return 0.0
    whole, _, fraction = stored.stored_at.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


async def figures(workers: Iterable[Beat]) -> dict[str, Figures]:
    """Of each worker that answers, by id."""
    found: dict[str, Figures] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SCRAPE_LIMIT_S)) as session:
        for worker in workers:
            try:
                async with session.get(f"http://127.0.0.1:{worker.admin_port}/metrics") as answer:
                    found[worker.worker] = read_figures(await answer.text())
            except (aiohttp.ClientError, OSError, TimeoutError):
                continue
    return found


def read_figures(page: str) -> Figures:
    """page: Prometheus text."""
    samples = {s.name: s.value for family in text_string_to_metric_families(page) for s in family.samples}
    found: Figures = {}
    for name, figure in FIGURES.items():
        if name in samples:
            value = samples[name] / 1024 if figure == "rss_kb" else samples[name]
            found[figure] = max(found.get(figure, 0.0), round(value, 1))
    return found


def at_rest(stages: Mapping[str, str], before: Mapping[str, Figures], after: Mapping[str, Figures]) -> list[Resting]:
    """stages: of each worker. A process that wasn't there before is held to the most that any of its stage had."""
    resting = []
    for worker, now in after.items():
        peers = [held for name, held in before.items() if stages[name] == stages[worker]]
        for figure, value in now.items():
            known = before.get(worker, {}).get(figure)
            most = max((held[figure] for held in peers if figure in held), default=value)
            resting.append(Resting(worker, figure, most if known is None else known, value))
    return resting
