"""The tool runner on the bus: one of many that share the orders, each of which reaches one of them."""

from trunkline.agents import AgentFile, load_agent_file
from trunkline.bus.dead import decoded
from trunkline.bus.port import Headers, Subscription
from trunkline.proto import subjects
from trunkline.proto.envelope import Envelope
from trunkline.proto.errors import BadSettings
from trunkline.record import ClaimStore
from trunkline.runtime.process import Context
from trunkline.runtime.settings import CoreSettings
from trunkline.telemetry import logs
from trunkline.tool_runner.admission import Limits
from trunkline.tool_runner.claiming import Claimant
from trunkline.tool_runner.runner import Runner

RESULT_SHARE = 4  # a result stands in one message of the record beside other events: at most this part of a payload
RUNS = 64  # at a time: tools mostly wait for other systems

log = logs.get(__name__)


class ToolRunnerSettings(CoreSettings, frozen=True, kw_only=True):
    """agent_file: FILE.py or FILE.py:NAME. capacity (core): tool calls at a time, 64 by default.

    lost_runs: tool calls that were given up after their timeout but are not over; with so many none is taken.
    """

    agent_file: str = ""
    lost_runs: int = 64


class ToolRunnerService:
    """Raises BadSettings (no file named) or BadInput (a file that doesn't load)."""

    def __init__(self, context: Context, settings: ToolRunnerSettings, claims: ClaimStore) -> None:
        if settings.lost_runs < 1:
            raise BadSettings("TRUNKLINE_LOST_RUNS", str(settings.lost_runs), "1 or more")
        self._context = context
        self._file = _load(settings.agent_file)
        self.digest = self._file.digest
        self._limits = Limits(runs=settings.capacity or RUNS, lost_runs=settings.lost_runs)
        self._claims = Claimant(claims, context.worker)
        self._runner = Runner(
            self._file.tools,
            digest=self.digest,
            worker=context.worker,
            post=context.exchange.post,
            pass_on=self._pass_on,
            claims=self._claims,
            limits=self._limits,
            result_limit_bytes=lambda: context.bus.max_payload // RESULT_SHARE,
        )
        self._orders: Subscription | None = None

    async def start(self) -> None:
        await self._claims.start()
        self._context.exchange.on_loose = self._runner.receive
        bus = self._context.bus
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
        await self._claims.stop()

    async def _leave_queue(self) -> None:
        if self._orders is not None:
            await self._orders.stop()
            self._orders = None

    def _pass_on(self, runner: str, envelope: Envelope, headers: Headers | None) -> None:
        """If nobody listens at that runner, its asker is told so."""
        stage, _, worker = envelope.sender.partition(".")
        reply = subjects.unheard(stage, worker, f"tool_runner.{runner}")
        inbox = subjects.inbox("tool_runner", runner, envelope.call)
        self._context.exchange.publish(inbox, envelope, reply=reply, headers=headers)


def _load(agent_file: str) -> AgentFile:
    if not agent_file:
        raise BadSettings("TRUNKLINE_AGENT_FILE", "is not set", "FILE.py or FILE.py:NAME")
    return load_agent_file(agent_file)
