"""A runner on a desk: orders go in by method, what it answers is in a list, time is virtual."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from trunkline.agents import Tool
from trunkline.proto.envelope import Envelope, Message
from trunkline.proto.tool import RunTool, ToolResult
from trunkline.record import MemoryClaimStore
from trunkline.runtime.breaker import Breakers
from trunkline.tool_runner.admission import Limits
from trunkline.tool_runner.claiming import Claimant
from trunkline.tool_runner.runner import Runner
from trunkline.tool_runner.secrecy import Secrecy

CALL = "rtc_00_desk"
AGENT = "agent.agent-1"
DIGEST = "d1"
NOW_US = 1_000_000_000
ORDER = RunTool("call_1", "greet", "{}", key="call_1", deadline_us=NOW_US + 60_000_000, digest=DIGEST)


def an_order(name: str, arguments: str = "{}", *, n: int = 1, **changes: object) -> RunTool:
    return msgspec.structs.replace(
        ORDER, name=name, arguments=arguments, tool_call=f"call_{n}", key=f"call_{n}", **changes
    )


@dataclass
class Desk:
    tools: list[Tool]
    limits: Limits = field(default_factory=lambda: Limits(runs=8, lost_runs=2))
    result_limit_bytes: int = 10_000
    worker: str = "runner-1"
    now_us: int = NOW_US
    claims: MemoryClaimStore = field(default_factory=MemoryClaimStore)
    posted: list[tuple[str, Message]] = field(default_factory=list)
    secrecy: Secrecy | None = None
    breakers: Breakers | None = None
    passed_on: list[tuple[str, Envelope]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answered = asyncio.Event()
        self.runner = Runner(
            {tool.name: tool for tool in self.tools},
            digest=DIGEST,
            worker=self.worker,
            post=self._post,
            pass_on=self._pass_on,
            claims=Claimant(self.claims, self.worker, wall_us=lambda: self.now_us),
            limits=self.limits,
            result_limit_bytes=lambda: self.result_limit_bytes,
            secrecy=self.secrecy,
            breakers=self.breakers,
            wall_us=lambda: self.now_us,
        )

    def _post(
        self, subject: str, call: str, message: Message, *, epoch: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        self.posted.append((subject, message))
        self._answered.set()

    def _pass_on(self, runner: str, envelope: Envelope, headers: Mapping[str, str] | None) -> None:
        self.passed_on.append((runner, envelope))

    def send(
        self, message: Message, *, sender: str = AGENT, epoch: int = 3, headers: Mapping[str, str] | None = None
    ) -> None:
        self.runner.receive(Envelope(CALL, sender, epoch, 0, 0, 0, 0, message), headers)

    @property
    def answers(self) -> list[Message]:
        return [message for _, message in self.posted]

    @property
    def results(self) -> list[ToolResult]:
        return [message for message in self.answers if isinstance(message, ToolResult)]

    async def result(self, n: int = 1) -> ToolResult:
        """The n-th result, once it is there."""
        while len(self.results) < n:
            self._answered.clear()
            await self._answered.wait()
        return self.results[n - 1]


def words(result: ToolResult) -> str:
    """The output of a result that speaks in words."""
    output = json.loads(result.output)
    assert isinstance(output, str)
    return output
