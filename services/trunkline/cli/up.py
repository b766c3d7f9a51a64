"""`trunkline up`: a whole stack on one machine, each service a process of its own, until a signal ends it.

Nothing is started before everything that was asked for has been checked. Services end first, NATS last.
"""

import argparse
import asyncio
import base64
import fcntl
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import msgspec

from trunkline.agents import load_agent_file
from trunkline.cli import api, options, stack
from trunkline.cli.embedded_nats import EmbeddedNats, free_port
from trunkline.cli.errors import CommandFailed, DirectoryTaken, PortTaken, StartFailed
from trunkline.cli.listing import WorkerLine
from trunkline.cli.options import Program
from trunkline.cli.stack import Address, Stack
from trunkline.cli.supervisor import Child, Job, Supervisor, ending, last_line
from trunkline.proto.errors import BadInput
from trunkline.proto.subjects import STAGES, Stage

READY_LIMIT_S = 60.0
STOP_SLACK_S = 10.0  # on top of the services' own grace
DEFAULT_GRACE_S = 30.0
NOT_PASSED_ON = (
    "TRUNKLINE_WORKER_ID",  # a worker's id is its own
    "PYTHONDONTWRITEBYTECODE",  # services start again and again, and needn't compile each time
)
VAULT_KEY = "TRUNKLINE_VAULT_KEY"
KEEPERS: tuple[Program, ...] = ("agent", "tool_runner")
_POLL_S = 0.1
GATEWAYS: tuple[Program, ...] = ("gateway", "webrtc")
MODULES: Mapping[Program, str] = {"webrtc": "trunkline.gateway.webrtc_main"}  # of the others: trunkline.<stage>.main
LOOPBACK = "127.0.0.1"
_DEFAULT_AGENT = Path(__file__).with_name("default_agent.py")


class Plan(msgspec.Struct, frozen=True):
    """What to run, checked. agent: an agent file's spec. key: of the API. grace_s: for calls at the end.

    own_key: made here, and not one of the operator's.
    """

    directory: Path
    host: str
    port: int
    key: str
    agent: str
    workers: dict[Program, int]
    environ: dict[str, str]
    grace_s: float
    own_key: bool = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def page(self) -> str:
        """Of the page to call from the browser; with the key behind the `#`, which browsers send nowhere."""
        return f"{self.url}/#key={quote(self.key, safe='')}" if self.own_key else f"{self.url}/"


def up(parsed: argparse.Namespace) -> int:
    workers, engines = _with_what_is_installed(options.workers(parsed.workers)), options.engines(parsed.engine)
    port = options.port(parsed.port)
    agent = _agent(parsed.agent)
    directory = _make(Path(parsed.dir).absolute())
    with _lock(directory):
        port = _free(parsed.host, port)
        key = _key(directory, parsed.host, os.environ)
        environ = _environment(os.environ, parsed.host, port, agent, engines, directory)
        environ[VAULT_KEY] = _vault_key(directory, os.environ)
        own_key = not _given_keys(os.environ)
        plan = Plan(directory, parsed.host, port, key, agent, workers, environ, _grace_s(os.environ), own_key)
        return asyncio.run(_run(plan))


async def _run(plan: Plan) -> int:
    return await _Stack(plan).run()


class _Stack:
    def __init__(self, plan: Plan) -> None:
        """Needs a running loop."""
        self._plan = plan
        self._supervisor = Supervisor(_say)
        self._services: dict[Program, list[Child]] = {}
        self._stopped = asyncio.Event()
        self._signals = 0

    async def run(self) -> int:
        """Until a signal. Raises StartFailed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        nats = EmbeddedNats(self._plan.directory, _without_key(self._plan.environ))
        server = await self._supervisor.start(nats.job)
        try:
            if await self._start(nats):
                announce(self._plan)
                await self._stopped.wait()
        finally:
            await self._stop(server)
        return 0

    async def _start(self, nats: EmbeddedNats) -> bool:
        """Whether the stack became ready before a signal came. Raises StartFailed."""
        starting = asyncio.create_task(self._become_ready(nats), name="become-ready")
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

    async def _become_ready(self, nats: EmbeddedNats) -> None:
        plan = self._plan
        await nats.answers()
        stack.write(plan.directory, Stack(plan.url, plan.key, os.getpid(), nats.url, plan.environ[VAULT_KEY]))
        environ = {
            **plan.environ,
            "TRUNKLINE_NATS_URL": nats.url,
            "TRUNKLINE_API_KEYS": _keys(plan, os.environ),
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
        environ = environ if program in KEEPERS else _without_key(environ)
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

    async def _stop(self, server: Child) -> None:
        """Gateways first: they end the calls that the others serve."""
        grace_s = self._plan.grace_s + STOP_SLACK_S
        gateways = [child for program in GATEWAYS for child in self._services.get(program, [])]
        rest = [child for children in self._services.values() for child in children if child not in gateways]
        await self._supervisor.stop(gateways, grace_s)
        await self._supervisor.stop(rest, grace_s)
        await self._supervisor.stop([server], STOP_SLACK_S)

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


def _agent(spec: str) -> str:
    """An absolute spec of a file that loads. Raises BadInput."""
    path, colon, name = (spec or str(_DEFAULT_AGENT)).partition(".py:")
    spec = f"{path}{colon}{name}"
    loaded = load_agent_file(spec)
    return f"{loaded.path}:{loaded.default.name}"


def _make(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (directory / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput("--dir", f"{directory}: {error.strerror}", "a directory that can be made and written") from error
    return directory


def _lock(directory: Path) -> IO[str]:
    """Held for as long as the file is open, and let go by the kernel however we end. Raises DirectoryTaken."""
    file = (directory / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        raise DirectoryTaken(directory, int(owner) if owner.isdecimal() else 0) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _free(host: str, port: int) -> int:
    """The port, once it is known that nobody listens on it. Raises PortTaken.

    Without SO_REUSEPORT, which lets the gateways share the port, and would let a second stack share it too.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
    except OSError as error:
        raise PortTaken(host, port, error.strerror or str(error)) from error
    return port or free_port(host)


def _key(directory: Path, host: str, environ: Mapping[str, str]) -> str:
    """The first of the operator's keys, else the one kept in the run directory, else a new one. Raises BadInput."""
    given = _given_keys(environ)
    if given:
        return given[0]
    if not options.is_loopback(host):
        raise BadInput(
            "--host", f"{host} can be reached by others, and no key is set", "TRUNKLINE_API_KEYS, or loopback"
        )
    kept = stack.read(directory)
    return kept.key if kept else f"sk-{secrets.token_urlsafe(24)}"


def _given_keys(environ: Mapping[str, str]) -> list[str]:
    return [key.strip() for key in environ.get("TRUNKLINE_API_KEYS", "").split(",") if key.strip()]


def _vault_key(directory: Path, environ: Mapping[str, str]) -> str:
    """The operator's, else the one kept in the run directory, else a new one. Raises BadInput."""
    kept = stack.read(directory)
    made = kept.vault_key if kept else ""
    return environ.get(VAULT_KEY) or made or base64.b64encode(secrets.token_bytes(32)).decode()


def _without_key(environ: Mapping[str, str]) -> dict[str, str]:
    """For whoever may keep or pass on sensitive values, but not read them."""
    return {name: value for name, value in environ.items() if name != VAULT_KEY}


def _keys(plan: Plan, environ: Mapping[str, str]) -> str:
    return environ.get("TRUNKLINE_API_KEYS") or plan.key


def _environment(
    environ: Mapping[str, str], host: str, port: int, agent: str, engines: Mapping[str, str], directory: Path
) -> dict[str, str]:
    """The operator's own, with what the options say: they win over variables."""
    return {
        "OPENBLAS_NUM_THREADS": "1",  # numpy's own threads spin after every product, and take a core from the calls
        **{name: value for name, value in environ.items() if name not in NOT_PASSED_ON},
        "TRUNKLINE_HOST": host,
        "TRUNKLINE_PORT": str(port),
        "TRUNKLINE_AGENT_FILE": agent,
        "TRUNKLINE_DIR": str(directory),
        "TRUNKLINE_ADMIN_PORT": "0",
        **{f"TRUNKLINE_ENGINE_{seam.upper()}": name for seam, name in engines.items()},
    }


def _grace_s(environ: Mapping[str, str]) -> float:
    """The services' own setting; a bad value is theirs to refuse."""
    try:
        return float(environ.get("TRUNKLINE_DRAIN_GRACE_S", DEFAULT_GRACE_S))
    except ValueError:
        return DEFAULT_GRACE_S


def _say(line: str) -> None:
    print(f"trunkline: {line}", file=sys.stderr, flush=True)
