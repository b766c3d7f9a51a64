"""What policy says of one call, and what it leads to: checks are asked, verdicts go into the record.

Rule: what a `Ruled` carries is appended together with what it leads to, so that no owner of the call ever finds
a verdict without its consequence.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from trunkline.agent.conversation import Conversation
from trunkline.agent.policy import HungJudges, Judged, Policy
from trunkline.agents import Agent, AgentFile
from trunkline.agents.control import END_CALL
from trunkline.agents.guardrail import Check, On
from trunkline.proto.errors import TrunklineError
from trunkline.proto.policy import Action, Point
from trunkline.proto.record import Event, VerdictGiven
from trunkline.proto.response import Phase
from trunkline.record import CallView

ON: Mapping[Point, On] = {
    "input": "input",
    "segment": "output",
    "answer": "output",
    "tool_arguments": "tool_arguments",
    "tool_result": "tool_result",
}
ALLOW_IS_TOLD: tuple[Point, ...] = ("input", "answer", "tool_arguments")  # a segment's would drown the record


class Ruling(NamedTuple):
    """action: `block`, `hand_off` or `end`. reply: what is said, or what the model reads of a tool. to: an agent."""

    point: Point
    action: Action
    reply: str
    to: str
    guardrail: str
    reason: str

    @property
    def detail(self) -> str:
        return f"blocked by {self.guardrail}" if self.action == "block" else f"{self.action} by {self.guardrail}"


class Ruled(TrunklineError):
    """Nothing of what was judged may be used. events: see the module."""

    def __init__(self, ruling: Ruling, events: tuple[Event, ...] = ()) -> None:
        super().__init__(ruling.detail)
        self.ruling = ruling
        self.events = events


def ruled_before(verdict: VerdictGiven) -> Ruled:
    """What stands in the record already."""
    return Ruled(Ruling(verdict.point, verdict.action, verdict.text, verdict.to, verdict.guardrail, verdict.reason))


def ruled_of_tools(view: CallView, response: str) -> Ruled | None:
    """Policy's word on a tool call of this response, or on its result, that ends the answer and nobody has obeyed.

    What a client says came of its tool is read by a response behind the one that asked for it.
    """
    for place, (key, tool) in enumerate(view.tools.items()):
        own = tool.response == response
        if tool.status is None or not (own or tool.runs == "client"):
            continue
        points: tuple[Point, ...] = ("tool_arguments", "tool_result") if own else ("tool_result",)
        for verdict in (view.verdicts.get((point, key)) for point in points):
            if verdict is None or verdict.action not in ("hand_off", "end"):
                continue
            if not _is_obeyed(view, verdict, place, response if own else ""):
                return ruled_before(verdict)
    return None


def _is_obeyed(view: CallView, verdict: VerdictGiven, place: int, response: str) -> bool:
    """place: of the tool call among all. response: in which; empty for any."""
    if verdict.action == "end":
        later = list(view.tools.values())[place + 1 :]
        return not response and any(tool.runs == "agent" and tool.name == END_CALL for tool in later)
    by_policy = (one for one in view.handoffs if one.event.response and not one.event.tool_call)
    handoffs = (one for one in by_policy if response in ("", one.event.response))
    return any(one.tools > place for one in handoffs)


class Policies:
    """Of a file's agents, one of each for all calls of a process."""

    def __init__(self, file: AgentFile) -> None:
        self.hung = HungJudges()
        self._file = file
        self._known: dict[str, Policy] = {}

    def of(self, agent: Agent) -> Policy:
        known = self._known.get(agent.name)
        if known is None:
            known = self._known[agent.name] = Policy(agent.guardrails, self._file.agents, self.hung)
        return known


class Bench:
    """Policy of whoever speaks in one call."""

    def __init__(self, conversation: Conversation, policies: Policies) -> None:
        self._conversation = conversation
        self._policies = policies

    @property
    def policy(self) -> Policy:
        return self._policies.of(self._conversation.agent)

    def looks(self, point: Point, tool: str = "") -> bool:
        return self.policy.looks(ON[point], tool)

    async def judge(
        self,
        point: Point,
        subject: str,
        text: str,
        *,
        tool: str = "",
        arguments: Mapping[str, Any] | None = None,
        phase: Phase | None = None,
        before: str = "",
    ) -> str:
        """The text to go on with. subject: see VerdictGiven. Raises Ruled."""
        check = Check(ON[point], text, self._conversation.context(), tool, arguments or {}, phase, before)
        return self.settle(point, subject, await self.policy.judge(check))

    def settle(self, point: Point, subject: str, judged: Judged, *, final: bool = True) -> str:
        """Records what was said. final: nobody else has to agree. Raises Ruled, with the events that stand for it."""
        now_us = self._conversation.wall_us()
        events: list[VerdictGiven] = []
        for given in judged.given:
            name, said = given.guardrail, given.verdict
            kept = said.text if said.action != "rewrite" or point == "input" else ""
            events.append(VerdictGiven(now_us, point, subject, said.action, name, said.reason, said.to, kept))
        if judged.action in ("allow", "rewrite"):
            if final and point in ALLOW_IS_TOLD:
                events.append(VerdictGiven(now_us, point, subject, "allow"))
            self._conversation.append(*events)
            return judged.text
        by = judged.given[-1]
        ruling = Ruling(point, judged.action, judged.text, judged.to, by.guardrail, by.verdict.reason)
        raise Ruled(ruling, tuple(events))
