"""`trunkline up`: a whole stack on one machine, each service a process of its own, until a signal ends it.

Nothing is started before everything that was asked for has been checked. Services end first, NATS last.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from trunkline.cli import api, nats_nodes, options, plans, stack
from trunkline.cli.embedded_nats import free_port
from trunkline.cli.errors import CommandFailed, StartFailed
from trunkline.cli.listing import WorkerLine
from trunkline.cli.nats_nodes import NatsNodes
from trunkline.cli.options import Program
from trunkline.cli.plans import VAULT_KEY, Plan
from trunkline.cli.stack import Address, Stack
from trunkline.cli.supervisor import Child, Job, Supervisor, ending, last_line
from trunkline.proto.subjects import STAGES, Stage

READY_LIMIT_S = 60.0
STOP_SLACK_S = 10.0  # on top of the services' own grace
KEEPERS: tuple[Program, ...] = ("agent", "tool_runner")
_POLL_S = 0.1
GATEWAYS: tuple[Program, ...] = ("gateway", "webrtc")
MODULES: Mapping[Program, str] = {"webrtc": "trunkline.gateway.webrtc_main"}  # of the others: trunkline.<stage>.main
LOOPBACK = "127.0.0.1"


def up(parsed: argparse.Namespace) -> int:
    workers, engines = _with_what_is_installed(options.workers(parsed.workers)), options.engines(parsed.engine)
    port, nodes = options.port(parsed.port), options.nats_nodes(parsed.nats_nodes)
    agent = plans.agent_spec(parsed.agent)
    directory = plans.make_directory(Path(parsed.dir).absolute())
    with plans.lock(directory):
        nats_nodes.check(directory, nodes, os.environ)
        port = plans.free(parsed.host, port)
        key = plans.api_key(directory, parsed.host, os.environ)
        environ = plans.environment(os.environ, parsed.host, port, agent, engines, directory)
        environ |= nats_nodes.replicas(nodes, os.environ)
        environ[VAULT_KEY] = plans.vault_key(directory, os.environ)
        own_key, grace_s = not plans.given_keys(os.environ), plans.grace_s(os.environ)
        plan = Plan(directory, parsed.host, port, key, agent, workers, environ, grace_s, own_key, nodes)
        return asyncio.run(_run(plan))


async def _run(plan: Plan) -> int:
    return await _Stack(plan).run()


class _Stack:
    def __init__(self, plan: Plan) -> None:
        """Needs a running loop. Raises StartFailed."""
        self._plan = plan
        self._supervisor = Supervisor(_say)
        self._nats = NatsNodes(plan.directory, plan.nats_nodes, plans.without_key(plan.environ))
        self._servers: list[Child] = []
        self._services: dict[Program, list[Child]] = {}
        self._stopped = asyncio.Event()
        self._signals = 0

    async def run(self) -> int:
        """Until a signal. Raises StartFailed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        try:
            for job in self._nats.jobs:
                self._servers.append(await self._supervisor.start(job))
            if await self._start():
                announce(self._plan)
                await self._stopped.wait()
        finally:
            await self._stop()
        return 0

    async def _start(self) -> bool:
        """Whether the stack became ready before a signal came. Raises StartFailed."""
        starting = asyncio.create_task(self._become_ready(), name="become-ready")
        stopped = asyncio.create_task(self._stopped.wait(), name="stopped")
        try:
            waited: set[asyncio.Future[Any]] = {starting, stopped, self._supervisor.died}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._supervisor.died.done():
                child, status = self._supervisor.died.result()
                raise StartFailed(child.job.name, f"it {ending(status)}: {last_line(child.job.log)}", child.job.log)
            if starting.done():
                await starting
            return starting.done()
        finally:
            for task in (starting, stopped):
                task.cancel()
            await asyncio.gather(starting, stopped, return_exceptions=True)

    async def _become_ready(self) -> None:
        plan = self._plan
        await self._nats.answer()
        nodes = self._nats.told
        vault_key = plan.environ[VAULT_KEY]
        stack.write(plan.directory, Stack(plan.url, plan.key, os.getpid(), nodes[0].url, vault_key, nodes))
        environ = {
            **plan.environ,
            **self._nats.environ,
            "TRUNKLINE_API_KEYS": plans.api_keys(plan, os.environ),
            "TRUNKLINE_SHARE_PORT": str(plan.workers["gateway"] > 1).lower(),
        }
        offers = [str(free_port(LOOPBACK)) for _ in range(plan.workers["webrtc"])]
        webrtc_urls = [f"http://{LOOPBACK}:{port}" for port in offers]
        if offers:
            environ["TRUNKLINE_WEBRTC_URLS"] = ",".join(webrtc_urls)
        for program, count in plan.workers.items():
            own = [_for_webrtc(environ, port) for port in offers] if program == "webrtc" else [environ] * count
            jobs = [self._job(program, number, each) for number, each in enumerate(own, 1)]
            self._services[program] = [await self._supervisor.start(job) for job in jobs]
        await self._all_heard([plan.url, *webrtc_urls])
        self._supervisor.settled = True

    def _job(self, program: Program, number: int, environ: dict[str, str]) -> Job:
        module = MODULES.get(program, f"trunkline.{program}.main")
        command = (sys.executable, "-P", "-m", module)  # no file of this folder is a module there
        environ = environ if program in KEEPERS else plans.without_key(environ)
        return Job(program, command, environ, self._plan.directory / "logs" / f"{program}-{number}.log")

    async def _all_heard(self, urls: Sequence[str]) -> None:
        """Until a gateway at each of these hears as many workers of each stage as were started. Raises StartFailed."""
        missing, wanted = "its gateway", _stages(self._plan.workers)
        try:
            async with asyncio.timeout(READY_LIMIT_S):
                for url in urls:
                    missing = "its gateway"
                    while missing:
                        await asyncio.sleep(_POLL_S)
                        missing = await _missing(Address(url, self._plan.key), wanted)
        except TimeoutError:
            logs = self._plan.directory / "logs"
            raise StartFailed("the stack", f"{missing} wasn't ready within {READY_LIMIT_S:g} s", logs) from None

    async def _stop(self) -> None:
        """Gateways first: they end the calls that the others serve. NATS last, all nodes at once: none waits for
        another to be elected."""
        grace_s = self._plan.grace_s + STOP_SLACK_S
        gateways = [child for program in GATEWAYS for child in self._services.get(program, [])]
        rest = [child for children in self._services.values() for child in children if child not in gateways]
        await self._supervisor.stop(gateways, grace_s)
        await self._supervisor.stop(rest, grace_s)
        await self._supervisor.stop(self._servers, STOP_SLACK_S)

    def _on_signal(self) -> None:
        """The first drains; the second doesn't wait."""
        self._signals += 1
        self._stopped.set()
        if self._signals > 1:
            self._supervisor.kill(child for children in self._services.values() for child in children)


def announce(plan: Plan) -> None:
    """The last line says that calls can be placed."""
    lines = (
        f"agent {plan.agent}",
        "workers " + ", ".join(f"{count} {program}" for program, count in plan.workers.items() if count),
        f"key {plan.key}",
        f"page {plan.page}",
        f"ready {plan.url}",
    )
    print("\n".join(lines), flush=True)


def _with_what_is_installed(workers: dict[Program, int]) -> dict[Program, int]:
    """WebRTC is optional: without its extra the stack does without, and says so."""
    if not workers["webrtc"] or find_spec("aiortc") is not None:
        return workers
    _say("WebRTC is not installed (trunkline[webrtc]): callers come over WebSocket alone")
    return workers | {"webrtc": 0}


def _stages(workers: Mapping[Program, int]) -> dict[Stage, int]:
    """As the bus has them, where what serves WebRTC is a gateway."""
    return {stage: workers[stage] + (workers["webrtc"] if stage == "gateway" else 0) for stage in STAGES}


def _for_webrtc(environ: dict[str, str], port: str) -> dict[str, str]:
    """port: where the gateways bring their offers; nobody else comes there. Its callers' audio comes where they do."""
    return {
        **environ,
        "TRUNKLINE_HOST": LOOPBACK,
        "TRUNKLINE_PORT": port,
        "TRUNKLINE_SHARE_PORT": "false",
        "TRUNKLINE_WEBRTC_HOST": environ.get("TRUNKLINE_WEBRTC_HOST") or environ["TRUNKLINE_HOST"],
    }


async def _missing(address: Address, wanted: Mapping[Stage, int]) -> str:
    """The first stage that isn't there in full, empty when all are."""
    try:
        body = await api.fetch(address, "/v1/workers")
    except CommandFailed:
        return "gateway"
    heard = [worker.stage for worker in msgspec.json.decode(body, type=list[WorkerLine])]
    return next((stage for stage, count in wanted.items() if heard.count(stage) < count), "")


def _say(line: str) -> None:
    print(f"trunkline: {line}", file=sys.stderr, flush=True)
