"""An answer that a person sees before the caller does: held, decided, said as it was approved."""

import asyncio

from trunkline.agent.approvals import Approvals, is_needed
from trunkline.agent.conversation import Conversation
from trunkline.agent.rulings import Ruled, Ruling
from trunkline.agent.writer import ResponseWriter
from trunkline.agents import Approval
from trunkline.proto.record import ApprovalAsked
from trunkline.proto.response import Source
from trunkline.record import ApprovalView
from trunkline.segments import Segmenter


class HeldAnswer:
    def __init__(self, conversation: Conversation, approvals: Approvals, writer: ResponseWriter) -> None:
        self._conversation = conversation
        self._approvals = approvals
        self._writer = writer

    async def approve(self, text: str) -> tuple[str, Source]:
        """What is said then, and whose words it is. Raises Ruled where a person, or the time, denied it."""
        approval = self._conversation.agent.answer_approval
        if approval is None or not text.strip() or not is_needed(approval, self._conversation, {"text": text}):
            return text, "model"
        response = self._writer.response
        asked = self._approvals.asking(approval, "answer", response, response, name="", text=text)
        self._conversation.append(asked)
        self._tell(approval.commentary)
        await self._wait(asked, approval)
        return self._decided(asked, approval)

    async def deliver(self, held: ApprovalView) -> None:
        """One that an earlier owner of the call asked for. Raises Ruled."""
        approval = self._conversation.agent.answer_approval or Approval()
        if held.decided is None:
            await self._wait(held.asked, approval)
        text, source = self._decided(held.asked, approval)
        view = self._conversation.view
        said = [view.items[key] for key in view.responses[held.asked.response].items if key in view.items]
        self._writer.repeat([one for one in said if one.phase == "final_answer" and one.source in ("model", "person")])
        segmenter = Segmenter()
        for segment in [*segmenter.feed(text), *segmenter.flush()]:
            self._writer.say(segment, "final_answer", source)
        self._writer.close_item("final_answer")

    async def _wait(self, asked: ApprovalAsked, approval: Approval) -> None:
        waiter = self._approvals.watch(asked)
        while not waiter.done():
            done, _ = await asyncio.wait({waiter}, timeout=approval.again_s or None)
            if not done:
                self._tell(approval.reminder)

    def _decided(self, asked: ApprovalAsked, approval: Approval) -> tuple[str, Source]:
        decided = self._conversation.view.approvals[asked.approval].decided
        assert decided is not None
        if decided.decision == "approved":
            return (asked.text, "model") if decided.text is None else (decided.text, "person")
        by = decided.by or "nobody in time"
        raise Ruled(Ruling("input", "block", approval.denied, "", "approval", f"{decided.decision} by {by}"))

    def _tell(self, words: str) -> None:
        if words:
            self._writer.write(words, "commentary", "filler")
            self._writer.close_item("commentary")
