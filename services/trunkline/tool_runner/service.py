"""The tool runner on the bus: one of many that share the orders, each of which reaches one of them."""

import os
from collections.abc import Mapping
from typing import Literal

from trunkline.agents import AgentFile, load_agent_file
from trunkline.bus.dead import decoded
from trunkline.bus.port import Headers, Subscription
from trunkline.proto import subjects
from trunkline.proto.envelope import Envelope
from trunkline.proto.errors import BadInput, BadSettings
from trunkline.proto.tool import DescribeTools
from trunkline.record import Bucket, ClaimStore
from trunkline.runtime.breaker import Breakers, rules_of
from trunkline.runtime.process import Context
from trunkline.runtime.settings import CoreSettings
from trunkline.telemetry import logs
from trunkline.tool_runner.admission import Limits
from trunkline.tool_runner.claiming import Claimant
from trunkline.tool_runner.runner import Runner
from trunkline.tool_runner.secrecy import Secrecy
from trunkline.tool_runner.servers.port import ServedTools
from trunkline.vault import open_vault

RESULT_SHARE = 4  # a result stands in one message of the record beside other events: at most this part of a payload
RUNS = 64  # at a time: tools mostly wait for other systems

log = logs.get(__name__)


class ToolRunnerSettings(CoreSettings, frozen=True, kw_only=True):
    """agent_file: FILE.py or FILE.py:NAME. capacity (core): tool calls at a time, 64 by default.

    lost_runs: tool calls that were given up after their timeout but are not over; with so many none is taken.
    vault_key, vault_ttl_s, record_replicas: see AgentSettings; the vault may be made here first.
    breaker_failures, breaker_rest_s: of each tool, or its tool server.
    """

    agent_file: str = ""
    lost_runs: int = 64
    vault_key: str = ""
    vault_ttl_s: float = 3600.0
    record_replicas: Literal[1, 3] = 1
    breaker_failures: int = 6
    breaker_rest_s: float = 10.0


class ToolRunnerService:
    """environ: this process's environment, of which tool servers get what the agent file names. values: sensitive ones.
    file: where it is loaded already.

    Raises BadSettings (no file named) or BadInput (a file that doesn't load, or names a variable that isn't set).
    """

    def __init__(
        self,
        context: Context,
        settings: ToolRunnerSettings,
        claims: ClaimStore,
        environ: Mapping[str, str] = os.environ,
        values: Bucket | None = None,
        *,
        file: AgentFile | None = None,
    ) -> None:
        if settings.lost_runs < 1:
            raise BadSettings("TRUNKLINE_LOST_RUNS", str(settings.lost_runs), "1 or more")
        self._context = context
        self._file = file or _load(settings.agent_file)
        self.digest = self._file.digest
        self.agents: tuple[str, ...] = ()
        self._limits = Limits(runs=settings.capacity or RUNS, lost_runs=settings.lost_runs)
        self._claims = Claimant(claims, context.worker)
        self._served = _served(self._file, environ)
        self._secrecy = _secrecy(self._file, settings.vault_key, values)
        rules = rules_of(settings.breaker_failures, settings.breaker_rest_s)
        self._runner = Runner(
            {**self._file.tools, **self._served.tools} if self._served else self._file.tools,
            digest=self.digest,
            worker=context.worker,
            post=context.exchange.post,
            pass_on=self._pass_on,
            claims=self._claims,
            secrecy=self._secrecy,
            limits=self._limits,
            result_limit_bytes=lambda: context.bus.max_payload // RESULT_SHARE,
            breakers=Breakers("tool", rules, context.exchange.now_s),
            servers={tool: server.name for server in self._file.tool_servers.values() for tool in server.tool_names},
        )
        self._orders: Subscription | None = None
        self._questions: Subscription | None = None

    async def start(self) -> None:
        await self._claims.start()
        await self._secrecy.start()
        bus = self._context.bus
        if self._served is not None:
            self._served.start()
            hear = decoded(bus, "tool_runner", self._receive_question)
            self._questions = await bus.subscribe(subjects.ALL_DESCRIBE, hear)
        self._context.exchange.on_loose = self._runner.receive
        receive = decoded(bus, "tool_runner", self._runner.receive)
        self._orders = await bus.subscribe(subjects.ALL_TOOLS, receive, queue=subjects.TOOLS_QUEUE)
        await bus.flush()
        log.info("tools loaded", agent_file=str(self._file.path), tools=sorted(self._file.tools), digest=self.digest)

    def load(self) -> tuple[int, int]:
        return self._runner.runs, self._limits.runs

    async def drain(self, grace_s: float) -> None:
        await self._leave_queue()
        await self._runner.drain(grace_s)

    async def stop(self) -> None:
        await self._leave_queue()
        await self._runner.stop()
        if self._served is not None:
            await self._served.stop()
        await self._secrecy.stop()
        await self._claims.stop()

    async def _leave_queue(self) -> None:
        if self._orders is not None:
            await self._orders.stop()
            self._orders = None
        if self._questions is not None:
            await self._questions.stop()
            self._questions = None

    def _pass_on(self, runner: str, envelope: Envelope, headers: Headers | None) -> None:
        """If nobody listens at that runner, its asker is told so."""
        stage, _, worker = envelope.sender.partition(".")
        reply = subjects.unheard(stage, worker, f"tool_runner.{runner}")
        inbox = subjects.inbox("tool_runner", runner, envelope.call)
        self._context.exchange.publish(inbox, envelope, reply=reply, headers=headers)

    def _receive_question(self, envelope: Envelope, headers: Headers | None) -> None:
        """What tools a tool server has; those with another agent file are asked too, and keep silent."""
        asked = envelope.message
        if not isinstance(asked, DescribeTools) or self._served is None:
            return
        told = self._served.describe(asked.server) if asked.digest == self.digest else None
        if told is not None:
            self._context.exchange.post(subjects.inbox_of(envelope.sender, envelope.call), envelope.call, told)


def _load(agent_file: str) -> AgentFile:
    if not agent_file:
        raise BadSettings("TRUNKLINE_AGENT_FILE", "is not set", "FILE.py or FILE.py:NAME")
    return load_agent_file(agent_file)


def _secrecy(file: AgentFile, key: str, values: Bucket | None) -> Secrecy:
    """Raises BadSettings."""
    vault = open_vault(key, values, needed=file.keeps_sensitive) if values is not None else None
    return Secrecy(vault, file.sensitive("tool_result"))


def _served(file: AgentFile, environ: Mapping[str, str]) -> ServedTools | None:
    """The tools of its tool servers, None where there are no servers: then their package needn't be there."""
    if not file.tool_servers:
        return None
    try:
        from trunkline.tool_runner.servers.toolset import Toolset
    except ModuleNotFoundError as error:
        problem = f"need the package {error.name}, which isn't installed"
        raise BadInput("tool servers", problem, "the extra trunkline[mcp]") from error
    return Toolset(file.tool_servers, file.digest, environ)
