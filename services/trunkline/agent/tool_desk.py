"""Where an agent's tool calls stay until their outcome is recorded, whatever becomes of the response that made them.

Rule: the commit point. A tool is carried out once its turn and its generation stand, policy and people have agreed,
and its intent is durable; it gets exactly one outcome, and where none can be told it is `unknown`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from trunkline.agent.approvals import Approvals, is_needed
from trunkline.agent.asides import Asides
from trunkline.agent.client_tools import ClientTools
from trunkline.agent.conversation import Conversation
from trunkline.agent.errands import Errand, Errands, Keep, Post
from trunkline.agent.intents import Intent, intend, not_run, read, told_apart
from trunkline.agent.models.seam import ToolCall
from trunkline.agent.own_tools import GOES_ON, NOT_HANDED_OVER, OwnTools, concluded, is_end
from trunkline.agent.results import Redact, admitted, finished, note
from trunkline.agent.rulings import Bench
from trunkline.agents import Approval, Tool
from trunkline.bus.port import Headers
from trunkline.proto import record
from trunkline.proto.envelope import Message
from trunkline.proto.errors import TrunklineError
from trunkline.proto.response import Source
from trunkline.proto.tool import ToolProgress, ToolResult, ToolStatus
from trunkline.record import ApprovalView, ClaimStore, StoreUnavailable, ToolView

NOT_RECORDED = "This was not run: the call's record can't be written at present."
INTERRUPTED = "This was not run: the caller interrupted."
CALL_ENDED = "This was not run: the call ended."
PROGRESS_CHARACTERS = 300


class ToolDesk:
    """keep: holds a task until it is done. on_failure: an outcome could not be recorded. redact: what must not be
    recorded is taken out of a result; kept: returns when a tool can have what was taken out. on_outcome: a tool call of
    a response that is over has its outcome."""

    def __init__(
        self,
        conversation: Conversation,
        bench: Bench,
        digest: str,
        claims: ClaimStore,
        post: Post,
        keep: Keep,
        on_failure: Callable[[Exception], None],
        *,
        redact: Redact = str,
        kept: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.on_outcome: Callable[[ToolView], None] = lambda tool: None
        self.approvals = Approvals(conversation, keep, on_failure, self._run_us)
        self.approvals.on_decided = self._decided
        self.own = OwnTools(conversation)
        self.client = ClientTools(conversation, bench, keep, on_failure, redact, self._conclude)
        self._conversation = conversation
        self._bench = bench
        self._keep = keep
        self._on_failure = on_failure
        self._redact = redact
        self._kept = kept
        self._errands = Errands(conversation, digest, claims, post, keep, self._on_result, on_failure)
        self._asides = Asides()
        self._told: set[str] = set()  # tool calls whose outcome the model was told, here or by an earlier owner
        self.tell_all()

    # for the response that goes on

    async def run(
        self, response: str, calls: Sequence[ToolCall], headers: Headers | None
    ) -> "list[asyncio.Future[None]]":
        """Takes them to their commit point; what is to be waited for. Cancelled, it leaves behind what already runs.

        Raises Ruled for policy's word on one of them, then none of them is run; Fenced.
        """
        intents = [await intend(call, self._conversation, self._bench) for call in told_apart(calls)]
        ruled = next((one.ruled for one in intents if one.ruled), None)
        if ruled is not None:
            intents = [not_run(one, "policy ended the answer.") for one in intents]
        errands = self._record(response, intents, headers)
        try:
            await self._conversation.log.durable()
            if self._kept is not None:
                await self._kept()
        except asyncio.CancelledError:
            if self._conversation.view.responses[response].status is not None:  # or the next owner goes on with it
                self._give_up(response, errands, "cancelled", INTERRUPTED)
            raise
        except StoreUnavailable:
            self._give_up(response, errands, "error", NOT_RECORDED)
        if ruled is not None:
            raise ruled
        self._commit(response, errands)
        return self._awaited(response)

    def finish(self, response: str, headers: Headers | None) -> "list[asyncio.Future[None]]":
        """What a response that an earlier owner began has to wait for."""
        self.adopt(headers)
        self._carry_out_own(response)
        return self._awaited(response)

    def aside(self) -> "asyncio.Future[None]":
        """Done once there is something to tell the caller who waits."""
        return self._asides.waiter()

    def asides(self) -> list[tuple[str, Source]]:
        return self._asides.take()

    def waits_for_person(self, response: str) -> Approval | None:
        """What the caller who waits for a person's word on a tool call is to be told now and then."""
        asked = (e for e in self._errands if response in ("", e.response) and self._is_undecided(e))
        errand = next(asked, None)
        definition = self._conversation.tool(errand.name) if errand is not None else None
        return definition.approval if definition is not None else None

    def _is_undecided(self, errand: Errand) -> bool:
        tool = self._conversation.view.tools[errand.tool_call]
        approval = self._conversation.view.approvals.get(tool.approval)
        return approval is not None and approval.decided is None

    def tell_all(self) -> None:
        """The model is about to be told of every outcome that there is."""
        self._told.update(tool.id for tool in self._conversation.view.tools.values() if tool.status is not None)

    def news_of(self, response: str) -> bool:
        """A tool that the model was told is going on has ended meanwhile."""
        view = self._conversation.view
        tools = [view.tools[key] for key in view.responses[response].tools if view.tools[key].stands]
        ended = [tool for tool in tools if tool.status is not None and tool.id not in self._told]
        return any(self._is_detached(tool) for tool in ended)

    # for the conversation

    def news(self) -> list[str]:
        """Tool calls of earlier responses that nobody has told the caller of, and somebody should: not of what he
        cancelled himself, by going on, and while he speaks."""
        ended = [self._conversation.view.tools[key] for key in self._conversation.view.news]
        return [tool.id for tool in ended if tool.status != "cancelled" and self._is_detached(tool)]

    def interrupted(self, response: str, asked: Collection[str] | None = None) -> None:
        """The caller spoke: what may be stopped is, the call isn't ended; all else goes on. asked: see ClientTools."""
        for errand in self._errands:
            if errand.pursuit is None:  # it waits for a person, which nobody's speaking ends, or has run
                continue
            definition = self._conversation.tool(errand.name)
            if errand.response == response and definition is not None and definition.cancel_on_interrupt:
                self._errands.stop(errand)
        self.approvals.withdraw(response)
        if (end := self.own.ending) is not None and end.response == response:
            self.own.settle_end(ended=False)
        self.own.give_up(response, "cancelled", INTERRUPTED)
        self.client.interrupted(response, asked)

    def retract(self, response: str) -> None:
        """The turn was none: nothing that waits for a person is done for it."""
        for errand in self._errands:
            if errand.response == response and errand.pursuit is None:
                self.approvals.withdraw(errand.tool_call)

    def adopt(self, headers: Headers | None) -> None:
        """Goes after every tool call that an earlier owner of the call left without outcome."""
        for tool in list(self._conversation.view.tools.values()):
            if tool.status is not None or (tool.runs != "runner" and not tool.approval):
                continue
            if self._errands.get(tool.id) is not None:
                continue
            errand = self._errands.add(self._errand(tool, headers))
            approval = self._conversation.view.approvals.get(tool.approval)
            if approval is None:
                self._errands.begin(errand, tool, adopted=True)
            elif approval.decided is not None:
                self._decided(approval, adopted=True)
        self.approvals.adopt()

    def leave_out(self, response: str, calls: Sequence[ToolCall], before: str) -> None:
        """What an earlier owner made of these, by what it said behind them: it could not record them, so none was run.

        before: the first item that it said behind them. Raises Fenced.
        """
        view = self._conversation.view
        of_response = view.responses[response].items
        items = of_response if before in of_response[1:] else list(view.items)  # the first stands behind a caller's
        after = items[items.index(before) - 1] if before in items[1:] else ""
        intents = [read(call, self._conversation) for call in told_apart(calls)]
        errands = self._record(response, intents, None, after, ask=False)
        self._give_up(response, errands, "error", NOT_RECORDED)

    def close(self, *, ended: bool, hung_up: bool = False) -> None:
        """ended: the call is over, so what has no outcome yet never gets one; else the next owner will ask.

        hung_up: the agent ended it.
        """
        self.approvals.close(ended=ended)
        self.client.close(ended=ended)
        if not ended:
            self._errands.close()
            return
        self.own.settle_end(ended=hung_up)
        for response in self._conversation.view.responses:
            self.own.give_up(response, "cancelled", CALL_ENDED)
        for errand in self._errands:
            if errand.maybe_ran:
                self._settle(errand, "unknown", "The call ended before a result came.")
            else:
                self._settle(errand, "cancelled", CALL_ENDED)

    # what is heard

    def on_message(self, message: Message) -> None:
        """What runners say; of calls that have their outcome, only what was not known of them is still of interest."""
        match message:
            case ToolProgress(tool_call=tool_call, text=text):
                self._report(tool_call, text)
            case ToolResult(tool_call=tool_call) if self._errands.get(tool_call) is None:
                self._find_out_late(message)
            case _:
                self._errands.on_message(message)

    def on_no_responders(self) -> None:
        self._errands.on_no_responders()

    def on_unheard(self, runner: str) -> None:
        self._errands.on_unheard(runner)

    def _report(self, tool_call: str, text: str) -> None:
        errand = self._errands.get(tool_call)
        response = self._conversation.view.responses.get(errand.response) if errand is not None else None
        if response is not None and response.status is None and text.strip():
            self._asides.add(text[:PROGRESS_CHARACTERS], "tool")

    # to the commit point

    def _record(
        self, response: str, intents: Sequence[Intent], headers: Headers | None, after: str = "", *, ask: bool = True
    ) -> list[Errand]:
        """Intents, refusals and questions to people, in one entry; the errands of those that may be run."""
        events: list[record.Event] = []
        errands: list[Errand] = []
        asked: list[tuple[record.ApprovalAsked, Approval]] = []
        for intent in intents:
            now_us = self._conversation.wall_us()
            events += [*intent.verdicts, self._intended(response, intent, now_us, after)]
            if intent.refusal or intent.tool is None:
                events.append(record.ToolFinished(now_us, intent.key, intent.status, intent.refusal, ""))
                note(intent.name, ToolResult(intent.key, intent.status, intent.refusal, ""))
                continue
            approval = intent.tool.approval if ask else None
            if approval is not None and is_needed(approval, self._conversation, intent.given):
                question = self.approvals.asking(
                    approval, "tool", intent.key, response, name=intent.name, text=intent.arguments
                )
                events.append(question)
                asked.append((question, approval))
            elif intent.tool.runs != "runner":
                continue
            errands.append(Errand(intent.key, intent.name, response, headers, detached=_detached(intent.tool)))
        self._conversation.append(*events)
        for errand in errands:
            self._errands.add(errand)
        for question, approval in asked:
            self.approvals.watch(question)
            if approval.commentary:
                self._asides.add(approval.commentary, "filler")
        return errands

    def _intended(self, response: str, intent: Intent, now_us: int, after: str) -> record.ToolIntended:
        runs = intent.tool.runs if intent.tool is not None else "runner"
        limit_us = round(intent.tool.timeout_s * 1e6) if intent.tool is not None else 0
        deadline_us = now_us + limit_us if runs != "client" else 0  # a client has as long as the call goes on
        return record.ToolIntended(
            now_us, intent.key, response, intent.name, intent.arguments, intent.key, deadline_us, after, runs
        )

    def _commit(self, response: str, errands: Sequence[Errand]) -> None:
        """Their intents are durable; the response stands, or this would have been cancelled."""
        view = self._conversation.view
        for errand in errands:
            if not view.tools[errand.tool_call].approval:
                self._errands.begin(errand, view.tools[errand.tool_call], fresh=True)
        self._carry_out_own(response)

    def _carry_out_own(self, response: str) -> None:
        for tool in self.own.carry_out(response):
            if tool.status is not None and (errand := self._errands.get(tool.id)) is not None:
                self._errands.forget(errand)

    def _awaited(self, response: str) -> "list[asyncio.Future[None]]":
        """Of those in the background nothing is awaited; one that the agent carries out itself, for a person's word."""
        waited = [errand for errand in self._errands if errand.response == response]
        return [errand.done for errand in waited if not self._in_background(errand.name)]

    def _in_background(self, name: str) -> bool:
        definition = self._conversation.tool(name)
        return definition is not None and definition.background

    def _decided(self, approval: ApprovalView, *, adopted: bool = False) -> None:
        """A person's word, or the time's, is durable."""
        errand, decided = self._errands.get(approval.asked.subject), approval.decided
        if errand is None or errand.pursuit is not None or decided is None:
            return
        tool = self._conversation.view.tools[errand.tool_call]
        if tool.status is not None:  # the end of the call, which the caller forestalled
            self._errands.forget(errand)
        elif decided.decision == "withdrawn":
            self._settle(errand, "cancelled", INTERRUPTED)
        elif decided.decision == "denied":
            definition = self._conversation.tool(errand.name)
            asked = definition.approval if definition is not None else None
            self._settle(errand, "denied", (asked or Approval()).denied)
        elif tool.runs == "runner":
            self._errands.begin(errand, tool, adopted=adopted)
        else:
            self._approved_own(errand)

    def _approved_own(self, errand: Errand) -> None:
        """What the agent carries out itself is carried out for the response that wanted it, or not at all."""
        response = self._conversation.view.responses.get(errand.response)
        if response is not None and response.status is not None:
            tool = self._conversation.view.tools[errand.tool_call]
            self._settle(errand, "cancelled", GOES_ON if is_end(self._conversation, tool) else NOT_HANDED_OVER)
            return
        self._carry_out_own(errand.response)
        self._errands.forget(errand)

    def _errand(self, tool: ToolView, headers: Headers | None) -> Errand:
        return Errand(tool.id, tool.name, tool.response, headers, detached=self._is_detached(tool))

    def _is_detached(self, tool: ToolView) -> bool:
        return bool(tool.approval) or self._in_background(tool.name)

    def _run_us(self, name: str) -> int:
        definition = self._conversation.tool(name)
        return round(definition.timeout_s * 1e6) if definition is not None else 0

    # outcomes

    def _on_result(self, errand: Errand, result: ToolResult) -> None:
        if self._bench.looks("tool_result", errand.name):
            errand.pursuit, errand.ran = None, True  # it has its result: nobody is asked any more
            self._keep(self._judged(errand, result))
        else:
            self._outcome(errand, result)

    async def _judged(self, errand: Errand, result: ToolResult) -> None:
        """The task of policy's look at a result."""
        try:
            passed = await admitted(result, self._conversation, self._bench, self._redact)
            if self._errands.is_open(errand):
                self._outcome(errand, passed)
        except TrunklineError as error:
            self._on_failure(error)

    def _settle(self, errand: Errand, status: ToolStatus, output: str) -> None:
        self._outcome(errand, ToolResult(errand.tool_call, status, output, ""))

    def _give_up(self, response: str, errands: Collection[Errand], status: ToolStatus, output: str) -> None:
        """What has not come to its commit point, and won't."""
        self.own.give_up(response, status, output)
        self.client.withdraw(response, output, status)
        for errand in errands:
            if self._errands.is_open(errand):
                self.approvals.withdraw(errand.tool_call)
                self._settle(errand, status, output)

    def _outcome(self, errand: Errand, result: ToolResult) -> None:
        self._conclude(result)
        self._errands.forget(errand)
        self.on_outcome(self._conversation.view.tools[result.tool_call])

    def _conclude(self, result: ToolResult, item: str = "") -> None:
        note(self._conversation.view.tools[result.tool_call].name, result)
        self._append(result, item)

    def _find_out_late(self, result: ToolResult) -> None:
        view = self._conversation.view
        tool = view.tools.get(result.tool_call)
        if tool is None or tool.status != "unknown" or result.status not in ("ok", "error") or view.ended is not None:
            return
        note(tool.name, result, late=True)
        if self._bench.looks("tool_result", tool.name):
            self._keep(self._late(result))
        else:
            self._append(result)

    async def _late(self, result: ToolResult) -> None:
        try:
            passed = await admitted(result, self._conversation, self._bench, self._redact)
            self._append(passed)
        except TrunklineError as error:
            self._on_failure(error)

    def _append(self, result: ToolResult, item: str = "") -> None:
        outcome = finished(result, self._conversation.wall_us(), self._redact, item)
        self._conversation.append(*concluded(self._conversation, outcome))


def _detached(tool: Tool) -> bool:
    return tool.background or tool.approval is not None
