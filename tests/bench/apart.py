"""`python -m bench.apart OUT`: what telemetry and the durable record cost, each apart, in CPU per second of a call.

In every repeat each variant runs once, with a stack of its own, in an order that changes; its cost is its difference to
the stack as it is in the same repeat. Prints a table and writes OUT/apart.json. It needs two idle cores.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import NamedTuple

import aiohttp
import msgspec

from bench.peers import servers
from trunkline.cli.listing import table
from trunkline.cli.load import run
from trunkline.cli.load.asked import Asked
from trunkline.cli.load.dialect import spec_of
from trunkline.cli.load.report import Machine, Report, machine, report
from trunkline.cli.load.services import Target

SCRAPE_S = 5.0
RAMP_S = 2.0
NO_RECORD = Path(__file__).parent / "without_record"
AS_IT_IS = "as it is"
TOTAL = "total"
SERVICES = ("gateway", "stt", "agent", "tts", "nats")


class Variant(NamedTuple):
    """traced: share of calls whose spans are exported; None without anywhere to export to."""

    name: str
    traced: float | None = None
    scraped: bool = False
    recorded: bool = True


VARIANTS = (
    Variant(AS_IT_IS),
    Variant("traces exported", traced=1.0),
    Variant("a collector, no call traced", traced=0.0),
    Variant(f"metrics read every {SCRAPE_S:g} s", scraped=True),
    Variant("the record in memory", recorded=False),
)


class Made(msgspec.Struct, frozen=True):
    """exported_bytes: that came at the sink. scrapes: pages of metrics that were read. recorded: in JetStream."""

    variant: str
    repeat: int
    exported_bytes: int
    scrapes: int
    recorded: bool
    report: Report

    def cpu_ms(self, service: str = TOTAL) -> float:
        assert self.report.cpu_ms_per_call_second is not None
        return self.report.cpu_ms_per_call_second[service]


class Results(msgspec.Struct, frozen=True):
    machine: Machine
    runs: list[Made]


class Sink:
    """Takes what is exported by OTLP over HTTP, and counts it."""

    def __init__(self) -> None:
        self.taken_bytes = 0
        sink = self

        class Take(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                sink.taken_bytes += len(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
        self._server.daemon_threads = True
        self._server.block_on_close = False  # its clients hold their connections

    def __enter__(self) -> "Sink":
        threading.Thread(target=self._server.serve_forever, name="otlp-sink", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class Scraper:
    """Reads the metrics of every worker as a Prometheus does."""

    def __init__(self, target: Target) -> None:
        self.pages = 0
        self._ports = target.admin_ports

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                for port in self._ports:
                    async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                        answer.raise_for_status()
                        await answer.read()
                    self.pages += 1
                await asyncio.sleep(SCRAPE_S)


@contextlib.asynccontextmanager
async def scraping(variant: Variant, target: Target) -> AsyncIterator[Scraper]:
    """Raises what went wrong with it."""
    scraper = Scraper(target)
    task = asyncio.create_task(scraper.run() if variant.scraped else asyncio.Event().wait())
    try:
        yield scraper
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def environ_of(variant: Variant, sink: Sink, mark: Path) -> dict[str, str]:
    """mark: the file that tells of a record in memory."""
    environ: dict[str, str] = {}
    if variant.traced is not None:
        environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "TRUNKLINE_TRACE_RATIO": str(variant.traced)}
    if not variant.recorded:
        environ["BENCH_IN_MEMORY"] = str(mark)
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(NO_RECORD), os.environ.get("PYTHONPATH", ""))))
    return environ


async def measure(variant: Variant, repeat: int, asked: Asked, files: Path) -> Made:
    mark = files.with_suffix(".in-memory")
    with Sink() as sink:
        async with servers.trunkline(files, asked.calls, environ_of(variant, sink, mark)) as target:
            await run.warm(asked, target, files / "warm")
            async with scraping(variant, target) as scraper:
                held = await run.hold(asked, target, files / "callers")
        told = report(asked, held, machine())
        return require_apart(
            variant, Made(variant.name, repeat, sink.taken_bytes, scraper.pages, not mark.exists(), told)
        )


def require_apart(variant: Variant, made: Made) -> Made:
    """A variant that didn't take place measures nothing. Raises SystemExit."""
    appends = made.report.stages_ms.get("record: append")
    if made.recorded != variant.recorded:
        raise SystemExit(f"{variant.name}: the record was {'not ' * variant.recorded}in JetStream")
    if bool(made.exported_bytes) != bool(variant.traced) or bool(made.scrapes) != variant.scraped:
        raise SystemExit(f"{variant.name}: {made.exported_bytes} bytes exported, {made.scrapes} pages of metrics read")
    if appends is None or not appends.count:
        raise SystemExit(f"{variant.name}: nothing was appended to the record")
    return made


async def measure_all(asked: Asked, repeats: int, out: Path) -> list[Made]:
    made: list[Made] = []
    for repeat in range(repeats):
        first = repeat % len(VARIANTS)
        for variant in VARIANTS[first:] + VARIANTS[:first]:
            files = out / f"repeat-{repeat}" / variant.name.replace(" ", "-").replace(",", "")
            made.append(await measure(variant, repeat, asked, files))
            invalid = "" if made[-1].report.valid else ", callers were late"
            print(f"{repeat + 1} {variant.name}: {made[-1].cpu_ms():.2f} ms{invalid}", flush=True)
    return made


def text(runs: Sequence[Made]) -> list[str]:
    """CPU ms per call-second; of repeats that count both for the variant and the stack as it is."""
    header = ["variant", "repeats", "total", "dearer", *(f"of it {service}" for service in SERVICES), "p50 added ms"]
    return table(header, [_row(variant.name, _pairs(runs, variant.name)) for variant in VARIANTS])


def _pairs(runs: Sequence[Made], variant: str) -> list[tuple[Made, Made]]:
    """The variant's and the stack's as it is, of one repeat."""
    by_repeat: dict[int, Mapping[str, Made]] = {}
    for made in runs:
        if made.report.valid and not made.report.failed_calls:
            by_repeat[made.repeat] = {**by_repeat.get(made.repeat, {}), made.variant: made}
    return [(of[variant], of[AS_IT_IS]) for of in by_repeat.values() if variant in of and AS_IT_IS in of]


def _row(variant: str, pairs: Sequence[tuple[Made, Made]]) -> list[str]:
    row = [variant, str(len(pairs)), _spread([one.cpu_ms() for one, _ in pairs])]
    if variant == AS_IT_IS or not pairs:
        row += [""] * (1 + len(SERVICES))
    else:
        row.append(_spread(_differences(pairs, TOTAL)))
        row += [f"{median(_differences(pairs, service)):.2f}" for service in SERVICES]
    return [*row, _spread([one.report.added_ms.p50 for one, _ in pairs if one.report.added_ms is not None])]


def _differences(pairs: Sequence[tuple[Made, Made]], service: str) -> list[float]:
    return [one.cpu_ms(service) - other.cpu_ms(service) for one, other in pairs]


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "-"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.apart", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dialect", default="realtime")
    parsed = parser.parse_args()
    out: Path = parsed.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    asked = Asked(calls=parsed.calls, seconds=parsed.seconds, dialect=spec_of(parsed.dialect), ramp_s=RAMP_S)
    where = machine()
    runs = asyncio.run(measure_all(asked, parsed.repeats, out))
    results = Results(where, runs)
    (out / "apart.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    print("\n".join(["", "CPU ms per call-second: median (least to most)", *text(runs)]))


if __name__ == "__main__":
    main()
