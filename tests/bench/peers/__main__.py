"""`python -m bench.peers OUT`: Trunkline beside its peers, the same callers, the same work, the same cores, in turns.

Writes OUT/peers.json and OUT/peers.md, the section of docs/performance.md. It needs two idle cores: a run
whose own callers were late, or beside which other programs took the machine, is repeated once, as is one that a server
didn't keep up with; the second counts, if it is valid.
"""

import argparse
import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from bench.peers import environments, machine, report, servers, verdict
from bench.peers.plain import REPLY_MS
from bench.peers.report import OURS
from bench.peers.servers import COMMANDS, Peer
from bench.peers.verdict import Run
from trunkline.cli.load import lateness, processes, run
from trunkline.cli.load.asked import Asked
from trunkline.cli.load.dialect import KNOWN
from trunkline.cli.load.report import Machine
from trunkline.cli.load.report import machine as machine_of
from trunkline.cli.load.run import GENERATOR, Held
from trunkline.cli.load.services import Target

PLAIN = "bench.peers.dialect:PLAIN"
RAMP_S = 2.0
DIALECTS = {f"{OURS} {name}": spec for name, spec in KNOWN.items()}


class Made(msgspec.Struct, frozen=True):
    machine: Machine
    runs: list[Run]


class Bench:
    def __init__(self, out: Path, calls: Sequence[int], repeats: int, seconds: float) -> None:
        self._out, self._calls, self._repeats, self._seconds = out, sorted(calls), repeats, seconds
        self._pythons = out / "environments"
        self.runs: list[Run] = []

    async def run(self) -> None:
        for repeat in range(self._repeats):
            files = self._out / f"repeat-{repeat}"
            shutil.rmtree(files, ignore_errors=True)
            files.mkdir(parents=True)
            async with self._peers(files) as peers:
                for calls in self._calls:
                    await self._beside(peers, calls, repeat, files / f"{calls}")

    @contextlib.asynccontextmanager
    async def _peers(self, files: Path) -> AsyncIterator[dict[str, tuple[Peer, int]]]:
        """Warm and frozen, by stack, with the memory (kB) that each had then."""
        async with contextlib.AsyncExitStack() as all_of_them:
            peers = [Peer(stack, self._pythons, files / f"{stack}.log") for stack in COMMANDS]
            await asyncio.gather(*map(all_of_them.enter_async_context, peers))
            warm_kb = await asyncio.gather(*(self._warm(peer.target, PLAIN, files / peer.stack) for peer in peers))
            for peer in peers:
                peer.freeze()
            yield {peer.stack: (peer, kb) for peer, kb in zip(peers, warm_kb, strict=True)}

    async def _beside(self, peers: dict[str, tuple[Peer, int]], calls: int, repeat: int, files: Path) -> None:
        """So many calls, one stack after another; who is first changes with the repeat."""
        order = [OURS, *peers]
        first = repeat % len(order)
        for stack in order[first:] + order[:first]:
            if stack == OURS:
                await self._trunkline(calls, repeat, files)
            else:
                await self._peer(stack, *peers[stack], calls, repeat, files)

    async def _trunkline(self, calls: int, repeat: int, files: Path) -> None:
        dialects = list(DIALECTS.items())
        async with servers.trunkline(files / "trunkline", calls) as target:
            warm_kb = await self._warm(target, dialects[0][1], files)
            for stack, spec in dialects if repeat % 2 == 0 else reversed(dialects):
                await self._measure(stack, target, spec, calls, repeat, warm_kb, files)

    async def _peer(self, stack: str, peer: Peer, warm_kb: int, calls: int, repeat: int, files: Path) -> None:
        if any(run.trouble and not run.invalid and (run.stack, run.repeat) == (stack, repeat) for run in self.runs):
            return  # fewer calls were too many
        peer.thaw()
        try:
            await self._measure(stack, peer.target, PLAIN, calls, repeat, warm_kb, files)
        finally:
            peer.freeze()

    async def _warm(self, target: Target, dialect: str, files: Path) -> int:
        await run.warm(Asked(calls=1, seconds=1.0, dialect=dialect), target, files / "warm")
        return sum(processes.rss_kb(target.pids).values())

    async def _measure(
        self, stack: str, target: Target, dialect: str, calls: int, repeat: int, warm_kb: int, files: Path
    ) -> None:
        asked = Asked(calls=calls, seconds=self._seconds, dialect=dialect, ramp_s=RAMP_S, seed=1 + repeat)
        for _ in range(2):
            grown_kb = sum(processes.rss_kb(target.pids).values()) - warm_kb
            before = machine.look(target.pids)
            held = await run.hold(asked, target, files / stack)
            foreign_share = machine.foreign_share(before, machine.look(target.pids))
            made = of(stack, repeat, asked, held, grown_kb, foreign_share)
            print(report.line(made), flush=True)
            if verdict.counts(made):
                break
        self.runs.append(made)


def of(stack: str, repeat: int, asked: Asked, held: Held, grown_kb: int, foreign_share: float) -> Run:
    """grown_kb: since it was warm, before this run."""
    seconds = held.to_s - held.from_s
    added_ms = [added_ms for *_, added_ms in run.of_window(held)]
    tallies = [outcome.tally for outcome in held.outcomes]
    served_s = {service: cpu_s for service, cpu_s in held.cpu_s.items() if service != GENERATOR}
    # the last reply of a call may be cut short by its end
    replies_s = max(1, sum(len(tally.turns) for tally in tallies) - asked.calls) * REPLY_MS / 1000
    core_share = max(served_s.values()) / seconds
    return Run(
        stack=stack,
        calls=asked.calls,
        repeat=repeat,
        seconds=seconds,
        cpu_ms={service: 1000 * cpu_s / (asked.calls * seconds) for service, cpu_s in served_s.items()},
        added_ms=added_ms,
        rss_kb_per_call=(grown_kb + sum(held.rss_kb.values())) / asked.calls,
        setup_p50_ms=verdict.percentile([ms for tally in tallies for ms in tally.setup_ms], 50),
        lateness_p99_ms=lateness.percentile_ms(lateness.joined(one.lateness for one in held.outcomes), 99),
        core_share=core_share,
        foreign_share=foreign_share,
        trouble=verdict.trouble(
            added_ms=added_ms,
            calls=asked.calls,
            seconds=seconds,
            core_share=core_share,
            failures=[failure for tally in tallies for failure in tally.failures],
            heard=sum(tally.audio_s for tally in tallies) / replies_s,
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("out", type=Path, help="directory of results, and of the peers' environments")
    parser.add_argument("--calls", default="10,20,50,100", help="at a time, each in turn (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of everything (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="measured of each run (default: %(default)g)")
    given = parser.parse_args()
    out = given.out.absolute()
    for name in environments.REQUIREMENTS:
        environments.ready(out / "environments", name)
    where = machine_of()
    bench = Bench(out, [int(calls) for calls in given.calls.split(",")], given.repeats, given.seconds)
    try:
        asyncio.run(bench.run())
    finally:  # what was measured before a run that can't be made is kept
        _tell(out, Made(where, bench.runs))


def _tell(out: Path, made: Made) -> None:
    (out / "peers.json").write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    section = report.section((environments.HERE / "method.md").read_text(), made.runs)
    (out / "peers.md").write_text(section)
    print(f"\n{section}\nwritten to {out / 'peers.json'} and {out / 'peers.md'}")


if __name__ == "__main__":
    main()
