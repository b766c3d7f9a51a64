"""What a stack's processes and streams hold at a moment, from the kernel, their metrics and the server.

One look costs each process some milliseconds; a process that is replaced meanwhile ends the measurement.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import aiohttp
from nats.aio.client import Client
from prometheus_client.parser import text_string_to_metric_families

from trunkline.cli.errors import ProcessEnded
from trunkline.cli.load.services import Target
from trunkline.proto import subjects
from trunkline.proto.ids import SHARDS

METRICS = {  # of a worker, and what a series is called
    "trunkline_worker_tasks": "tasks",
    "trunkline_worker_objects": "objects",
    "trunkline_worker_calls": "calls",
    "trunkline_gateway_calls": "calls",
    "trunkline_bus_holds": "holds",
    "trunkline_bus_subscriptions": "subscriptions",
}
SHARD_STREAMS = frozenset(subjects.stream(shard) for shard in range(SHARDS))
SCRAPE_LIMIT_S = 10.0

Sample = dict[str, float]
"""By series: `gateway rss_kb`, `stream CALLS messages`, `files temporary` …"""


class Sampler:
    """temporary: the directory that the stack's processes have for their temporary files. client: of its server."""

    def __init__(self, target: Target, run: Path, temporary: Path, http: aiohttp.ClientSession, client: Client) -> None:
        self._target = target
        self._run = run
        self._temporary = temporary
        self._http = http
        self._client = client

    async def look(self) -> Sample:
        """Raises ProcessEnded, and what a server that is away raises."""
        found = _of_processes(self._target.pids)
        pages = await asyncio.gather(*(self._page(port) for port in self._target.admin_ports))
        for page in pages:
            for name, value in _of_page(page).items():
                found[name] = found.get(name, 0.0) + value
        found |= await self._of_streams()
        found["files temporary"] = sum(1 for path in self._temporary.rglob("*") if path.is_file())
        found["files logs_kb"] = sum(path.stat().st_size for path in (self._run / "logs").iterdir()) / 1024
        return found

    async def _page(self, port: int) -> str:
        limit = aiohttp.ClientTimeout(total=SCRAPE_LIMIT_S)
        async with self._http.get(f"http://127.0.0.1:{port}/metrics", timeout=limit) as answer:
            return await answer.text()

    async def _of_streams(self) -> Sample:
        """The 16 of the records are told as one."""
        found: Sample = {}
        for info in await self._client.jetstream().streams_info():
            name = "CALLS" if info.config.name in SHARD_STREAMS else str(info.config.name)
            for what, value in (("messages", info.state.messages), ("kb", info.state.bytes / 1024)):
                series = f"stream {name} {what}"
                found[series] = found.get(series, 0.0) + value
        return found


def _of_processes(pids: Mapping[str, Iterable[int]]) -> Sample:
    found: Sample = {}
    for service, of_service in pids.items():
        for pid in of_service:
            for what, value in _of_process(service, pid).items():
                found[f"{service} {what}"] = found.get(f"{service} {what}", 0.0) + value
    return found


def _of_process(service: str, pid: int) -> Sample:
    """Source: proc(5)."""
    place = Path(f"/proc/{pid}")
    try:
        fields = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        descriptors = sum(1 for _ in (place / "fd").iterdir())
        rss_kb, threads = float(fields["VmRSS"].split()[0]), float(fields["Threads"])
    except (OSError, KeyError):
        raise ProcessEnded(service, pid) from None
    return {"rss_kb": rss_kb, "threads": threads, "descriptors": float(descriptors)}


def _of_page(page: str) -> Sample:
    """page: a worker's metrics, which say themselves of which service they are."""
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    service = next(sample.labels["service"] for sample in samples if sample.name == "trunkline_build_info")
    return {f"{service} {METRICS[sample.name]}": sample.value for sample in samples if sample.name in METRICS}
