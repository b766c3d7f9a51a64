"""The agent service: one model and one agent file, many calls."""

import asyncio
from collections.abc import Callable, Coroutine

from trunkline.agent.catalog import Catalog
from trunkline.agent.decisions_in import Answer, DecisionsIn
from trunkline.agent.generating import Generating
from trunkline.agent.models.choose import choose
from trunkline.agent.models.seam import Model
from trunkline.agent.redaction import Redaction
from trunkline.agent.rulings import Policies
from trunkline.agent.session import AgentSession
from trunkline.agent.settings import AgentSettings
from trunkline.agent.taking import Staff
from trunkline.agents import AgentFile, load_agent_file
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.port import Headers
from trunkline.proto import subjects
from trunkline.proto.approval import DecideApproval
from trunkline.proto.envelope import Envelope, Message
from trunkline.proto.errors import BadSettings
from trunkline.proto.generation import Generate
from trunkline.proto.placement import Declined
from trunkline.proto.response import Converse
from trunkline.proto.tool import DescribeTools, ToolsDescribed
from trunkline.record import ClaimStore, Durability, FileStore, Recorder, RecordStore
from trunkline.record.call_log import CLOSE_LIMIT_S
from trunkline.record.recorder import wall_us as system_wall_us
from trunkline.runtime.pool import CallPool, Session
from trunkline.telemetry import logs
from trunkline.vault import Vault

CALLS = 500  # a call costs the agent little: it waits for models and tools
STOP_S = CLOSE_LIMIT_S + 1.0  # for records to be closed: a little more than a log takes at most

log = logs.get(__name__)


def load_file(settings: AgentSettings) -> AgentFile:
    """Raises BadSettings (no file named) or BadInput (a file that doesn't load)."""
    if not settings.agent_file:
        raise BadSettings("TRUNKLINE_AGENT_FILE", "is not set", "FILE.py or FILE.py:NAME")
    return load_agent_file(settings.agent_file)


def load_model(settings: AgentSettings, files: FileStore | None = None) -> Model:
    """files: see choose."""
    return choose(settings, files)


class AgentService:
    """files: that the model reads pictures from; None where there are none. durability: told at the start, of a record
    that can lose something."""

    def __init__(
        self,
        exchange: Exchange,
        file: AgentFile,
        model: Model,
        store: RecordStore,
        claims: ClaimStore,
        *,
        capacity: int = 0,
        lost_window_s: float = 0.0,
        wall_us: Callable[[], int] = system_wall_us,
        vault: Vault | None = None,
        files: FileStore | None = None,
        durability: Durability | None = None,
    ) -> None:
        self.digest = file.digest
        self.agents = tuple(file.agents)
        self._exchange = exchange
        self._file = file
        self._store = store
        self._claims = claims
        self._files = files
        self._durability = durability
        self._model = model
        self._recorder = Recorder(store, now_us=wall_us)
        self._policies = Policies(file)
        self._catalog = Catalog(file, self._ask_for_tools)
        self._redaction = Redaction(file, vault)
        self._tasks: set[asyncio.Task[None]] = set()
        self.calls = CallPool(
            exchange, capacity=capacity or CALLS, open_session=self._open, lost_window_s=lost_window_s
        )
        self._decisions = DecisionsIn(exchange, self._on_decision)
        exchange.on_loose = self._on_loose
        exchange.on_no_responders = self._on_no_responders
        exchange.on_unheard = self._on_unheard
        self._staff = Staff(
            worker=exchange.worker,
            file=file,
            model=model,
            recorder=self._recorder,
            claims=claims,
            exchange=exchange,
            wall_us=wall_us,
            fail=self.calls.fail,
            drop=self.calls.drop,
            keep=self._keep,
            policies=self._policies,
            redaction=self._redaction,
            tools_of=self._catalog.tools_of,
        )

    async def start(self) -> None:
        await self._store.ensure()
        await self._claims.ensure()
        if self._files is not None:
            await self._files.ensure()
        await self._redaction.start()
        if self._durability is not None:
            await self._durability.tell()
        await self._decisions.start()
        self._catalog.start()
        log.info("agents loaded", agent_file=str(self._file.path), agents=list(self._file.agents), digest=self.digest)

    def load(self) -> tuple[int, int]:
        return self.calls.calls, self.calls.capacity

    async def drain(self, grace_s: float) -> None:
        await self.calls.drain(grace_s)

    async def stop(self) -> None:
        """What was said is recorded; calls that are still here can be taken by another agent."""
        await self._decisions.stop()
        self._catalog.stop()
        self.calls.close("stopped")
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
        await self._policies.hung.stop()
        await self._model.close()
        await self._recorder.close()
        await self._redaction.stop()
        if self._files is not None:
            await self._files.close()
        await self._claims.close()
        await self._store.close()

    def _open(self, link: Link, message: Message, headers: Headers | None) -> Session | Declined:
        if isinstance(message, Generate):
            return Generating(link, message, headers, self._model, self._keep)
        if not isinstance(message, Converse):
            allowed = "Converse, Generate"
            return Declined("bad_request", f"{type(message).__name__} places nothing at this stage; allowed: {allowed}")
        agent = self._file.agents.get(message.agent) if message.agent else self._file.default
        if agent is None:
            return Declined("unknown_agent", f"{message.agent!r}; allowed: {', '.join(self._file.agents)}")
        return AgentSession(link, message, agent, self._staff)

    def _on_loose(self, envelope: Envelope, headers: Headers | None) -> None:
        if isinstance(envelope.message, ToolsDescribed):
            self._catalog.on_described(envelope.message)
            return
        session = self.calls.session(envelope.call)
        if isinstance(session, AgentSession):
            session.on_tool_message(envelope.message)

    def _ask_for_tools(self, server: str) -> None:
        self._exchange.post(subjects.describe(server), subjects.NO_CALL, DescribeTools(server, self.digest))

    def _on_decision(self, call: str, decided: DecideApproval, answer: Answer) -> None:
        session = self.calls.session(call)
        if isinstance(session, AgentSession):
            session.on_decision(decided, answer)

    def _on_no_responders(self, call: str) -> None:
        session = self.calls.session(call)
        if isinstance(session, AgentSession):
            session.on_no_responders()

    def _on_unheard(self, peer: str) -> None:
        stage, _, worker = peer.partition(".")
        if stage == "tool_runner":
            for session in self.calls.sessions():
                if isinstance(session, AgentSession):
                    session.on_runner_unheard(worker)

    def _keep(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task of a call failed", error=repr(error), exc_info=error)
