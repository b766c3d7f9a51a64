"""A call as its events tell it: items, responses, tools, state. Pure; the fold of a record builds it.

Only apply changes a view, one event at a time, so that the writer's view and every reader's are the same. An event
about something unknown, or that begins something known, is counted in strays and changes nothing else.
"""

import msgspec

from trunkline.proto import record
from trunkline.proto.policy import Point
from trunkline.record.items import Items
from trunkline.record.parts import ApprovalView, HandoffView, ItemStatus, ItemView, ResponseView, ToolView

_object = msgspec.json.Decoder(dict[str, object])


ENDS = ("block", "hand_off", "end")
"""Verdicts after which the words that they are about are read by no model."""


def given_subject(response: str, place: int) -> str:
    """Of verdicts on a message in the context of a response, by its place there."""
    return f"{response}.{place}"


class CallView(Items):
    """Readers change nothing.

    verdicts: the last of each point and subject. rewritten: by subject, words that are no item and that policy has put
    otherwise. equipped: the tools that the client carries out itself.
    """

    __slots__ = (
        "agent",
        "approvals",
        "attach",
        "audio_lost",
        "call",
        "configured",
        "digest",
        "ended",
        "epoch",
        "equipped",
        "event_count",
        "gateway",
        "handoffs",
        "heard_to",
        "hub",
        "owner",
        "rewritten",
        "stages",
        "started_us",
        "state",
        "strays",
        "transfers",
        "verdicts",
    )

    def __init__(self, call: str) -> None:
        super().__init__()
        self.call = call
        self.epoch = 0
        self.owner = ""
        self.agent = ""
        self.digest = ""
        self.attach = 0  # of the owner's placement
        self.heard_to = 0  # the caller's audio before it is in a turn
        self.hub = 0
        self.gateway = ""
        self.configured: record.Configured | None = None
        self.equipped = record.ClientEquipped(0)
        self.started_us = 0
        self.ended: record.Ended | None = None
        self.stages: dict[str, str] = {}  # stage -> its worker, where it isn't the first any more
        self.audio_lost: list[int] = []  # from these samples of the caller's on
        self.state: dict[str, object] = {}
        self.approvals: dict[str, ApprovalView] = {}
        self.handoffs: list[HandoffView] = []
        self.transfers: list[record.TransferAsked] = []
        self.rewritten: dict[str, str] = {}
        self.verdicts: dict[tuple[Point, str], record.VerdictGiven] = {}
        self.event_count = 0
        self.strays = 0

    @property
    def speaker(self) -> str:
        """The agent that answers now."""
        return self.handoffs[-1].event.to if self.handoffs else self.agent

    def waiting_approvals(self) -> list[ApprovalView]:
        return [one for one in self.approvals.values() if one.decided is None]

    def open_at_client(self, response: ResponseView) -> list[ToolView]:
        """Tool calls of a response that is over, which the client was asked and has not answered."""
        tools = [self.tools[key] for key in response.tools] if response.status is not None else []
        return [tool for tool in tools if tool.runs == "client" and tool.status is None and not tool.call_deleted]

    def summary(self) -> record.CallSummary:
        return record.CallSummary(
            call=self.call,
            agent=self.agent,
            started_us=self.started_us,
            ended_us=self.ended.at_us if self.ended else 0,
            turns=self.turns,
            status="ended" if self.ended else "live",
            owner=self.owner,
            gateway=self.gateway,
            approvals=() if self.ended else tuple(one.open() for one in self.waiting_approvals()),
        )

    def apply_entry(self, entry: record.RecordEntry) -> None:
        self.epoch = entry.epoch
        for event in entry.events:
            self.apply(event)

    def apply(self, event: record.Event) -> None:
        self.event_count += 1
        self.started_us = self.started_us or event.at_us
        match event:
            case record.Configured():
                self.configured = event
                self.agent = self.agent or event.agent
            case record.OwnerTook():
                self.owner, self.digest = event.worker, event.digest
                self.agent = self.agent or event.agent
                self.attach = max(self.attach, event.attach)
            case record.HubAttached():
                self.hub, self.gateway = event.hub, event.gateway
            case record.CallerSaid():
                self._add_caller_item(event)
            case record.ItemInserted():
                self.strays += not self.insert(event.item, event.previous)
            case record.ItemDeleted():
                self.strays += not self.delete(event.item)
            case record.ResponseOpened():
                self._open_response(event)
            case record.AssistantItem():
                self._add_assistant_item(event)
            case record.ToolIntended():
                self._add_tool(event)
            case record.ToolFinished():
                self._finish_tool(event)
            case record.ResponseClosed():
                self._close_response(event)
            case record.Ended():
                self._end(event)
            case record.StageMoved(stage=stage, worker=worker):
                self.stages[stage] = worker
            case record.AudioLost(from_sample=from_sample):
                self.audio_lost.append(from_sample)
            case record.VerdictGiven():
                self._judge(event)
            case record.ApprovalAsked():
                self._ask(event)
            case record.ApprovalDecided():
                self._decide(event)
            case record.HandedOff():
                self.handoffs.append(HandoffView(event, next(reversed(self.items), ""), len(self.tools)))
            case record.TransferAsked():
                self.transfers.append(event)
            case record.ClientEquipped():
                self.equipped = event
            case _:
                self._change_item(event)

    def _change_item(
        self,
        event: record.SegmentSaid
        | record.ItemPhaseSettled
        | record.ItemClosed
        | record.ItemTruncated
        | record.PlayedOut,
    ) -> None:
        item = self.items.get(event.item)
        if item is None or item.role != "assistant" or item.source == "client":
            self.strays += 1
            return
        match event:
            case record.SegmentSaid():
                item.segments.setdefault(event.index, event.text)
            case record.ItemPhaseSettled():
                item.phase = event.phase
            case record.ItemClosed():
                if item.status == "in_progress":
                    item.status = "completed"
            case record.PlayedOut():
                item.played[event.index] = event.samples
            case record.ItemTruncated():
                # what was heard can be found to be less later (a client's word), never more
                if item.truncated is None or event.heard_samples <= item.truncated.heard_samples:
                    item.truncated = event
                    item.status = "interrupted"

    def _add_caller_item(self, event: record.CallerSaid) -> None:
        item = ItemView(event.item, "user", event.source, event.turn, status="completed", segments={0: event.text})
        item.images = event.images
        self.heard_to = max(self.heard_to, event.to_sample)
        self.strays += not self.insert_message(item, event.previous)

    def _add_assistant_item(self, event: record.AssistantItem) -> None:
        response = self.responses.get(event.response)
        turn = response.turn if response is not None else 0
        item = ItemView(event.item, "assistant", event.source, turn, event.response, event.phase)
        item.agent, item.voice = event.agent, event.voice
        added = self.insert_message(item, "")
        self.strays += not added
        if added and response is not None:
            response.items.append(event.item)

    def _open_response(self, event: record.ResponseOpened) -> None:
        if event.response in self.responses:
            self.strays += 1
        else:
            opened = ResponseView(event.response, event.turn, event.instructions, event.news, asked=event.asked)
            self.responses[event.response] = opened
            if not opened.aside:  # which tells no news
                self.news.clear()

    def _close_response(self, event: record.ResponseClosed) -> None:
        response = self.responses.get(event.response)
        if response is None:
            self.strays += 1
            return
        response.status, response.reason = event.status, event.reason
        if event.reason == "superseded" and not response.items:  # by one out of band: any other tells the same
            untold = (key for key in response.news if key in self.tools and self.tools[key].stands)
            self.news.update(dict.fromkeys(untold))
        self._settle_open(response.items, "completed" if event.status == "completed" else "interrupted")

    def _settle_open(self, items: list[str], status: ItemStatus) -> None:
        for key in items:
            item = self.items.get(key)
            if item is not None and item.status == "in_progress":
                item.status = status

    def _add_tool(self, event: record.ToolIntended) -> None:
        if event.tool_call in self.tools:
            self.strays += 1
            return
        response = self.responses.get(event.response)
        last = response.items[-1] if response is not None and response.items else next(reversed(self.items), "")
        self.tools[event.tool_call] = ToolView(
            event.tool_call,
            event.response,
            event.name,
            event.arguments,
            event.key,
            event.deadline_us,
            event.after or last,
            runs=event.runs,
        )
        self.place_call(event.tool_call, event.after or last)
        if response is not None:
            response.tools.append(event.tool_call)

    def _finish_tool(self, event: record.ToolFinished) -> None:
        tool = self.tools.get(event.tool_call)
        if tool is None or tool.status not in (None, "unknown"):  # only what wasn't known can be found out later
            self.strays += 1
            return
        tool.status, tool.output = event.status, event.output
        tool.runner, tool.elapsed_ms, tool.item = event.runner, event.elapsed_ms, event.item
        self._patch_state(event.state_patch)
        response = self.responses.get(tool.response)
        over = response is None or (response.status is not None and not response.aside)
        if over and tool.response and tool.stands:
            self.news[tool.id] = None

    def _patch_state(self, patch: str) -> None:
        """patch: JSON object; its members replace the state's, null deletes."""
        try:
            changes = _object.decode(patch)
        except msgspec.MsgspecError:
            self.strays += 1
            return
        for key, value in changes.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value

    def _judge(self, event: record.VerdictGiven) -> None:
        self.verdicts[event.point, event.subject] = event
        item = self.items.get(event.subject)
        if event.action == "allow":
            return
        if event.action == "rewrite":
            if event.point == "input" and item is not None:
                item.rewritten = event.text
            elif event.point == "input":
                self.rewritten[event.subject] = event.text
        elif item is not None:
            item.status = "blocked"

    def _ask(self, event: record.ApprovalAsked) -> None:
        if event.approval in self.approvals:
            self.strays += 1
            return
        self.approvals[event.approval] = ApprovalView(event, len(self.tools))
        tool = self.tools.get(event.subject)
        if tool is not None:
            tool.approval = event.approval

    def _decide(self, event: record.ApprovalDecided) -> None:
        approval = self.approvals.get(event.approval)
        if approval is None or approval.decided is not None:
            self.strays += 1
            return
        approval.decided = event
        tool = self.tools.get(approval.asked.subject)
        if tool is not None and event.decision == "approved":
            tool.deadline_us = event.deadline_us

    def _end(self, event: record.Ended) -> None:
        self.ended = event
        self._settle_open(list(self.items), "interrupted")
        for tool in self.tools.values():
            tool.status = tool.status or "unknown"
