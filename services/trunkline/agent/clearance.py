"""What must be true of a caller's words before an answer to them counts: the guardrails' verdict, once per turn.

Those that are parallel are asked while the model is; until all have agreed, what the model says is held.
"""

import asyncio

from trunkline.agent.conversation import Conversation
from trunkline.agent.policy import Judged
from trunkline.agent.rulings import Bench, Ruled, ruled_before
from trunkline.agents import Check
from trunkline.proto.record import VerdictGiven
from trunkline.record import CallView, ItemView

ENDS = ("block", "hand_off", "end")


class Rewritten(Exception):
    """The model was asked about words that are replaced now: it must be asked again."""


class Clearance:
    """task: of those guardrails that are asked beside the model."""

    def __init__(self, bench: Bench, item: str, task: "asyncio.Task[Judged]") -> None:
        self._bench = bench
        self._item = item
        self.task = task
        self.given = False

    def require(self) -> None:
        """Once the task is done. Raises Ruled, Rewritten."""
        judged = self.task.result()
        self._bench.settle("input", self._item, judged)
        self.given = True
        if judged.action == "rewrite":
            raise Rewritten

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def clear(conversation: Conversation, bench: Bench, response: str, *, answers: bool = True) -> Clearance | None:
    """Before the model reads turns: each that has no verdict gets it. What is asked beside the model is given back.

    answers: the last turn, or else it only tells news. Raises Ruled, also for a verdict on the turn that it answers
    which an earlier owner recorded, unless it was carried out.
    """
    view = conversation.view
    policy = bench.policy
    last = _last_turn(view)
    if answers and last is not None and (ruled := _ruled_before(view, last, response)):
        raise ruled
    if not (policy.looks("input") or policy.looks("input", parallel=True)):
        return None
    for item in [item for item in view.items.values() if item.role == "user"]:
        if _is_cleared(view, item) or item.id not in view.items:
            continue
        beside = policy.looks("input", parallel=True)
        try:
            judged = await policy.judge(_check(conversation, item))
            bench.settle("input", item.id, judged, final=not beside)
            if beside:
                later = policy.judge(_check(conversation, item), parallel=True)
                if item is last:
                    return Clearance(bench, item.id, asyncio.get_running_loop().create_task(later))
                bench.settle("input", item.id, await later)
        except Ruled as ruled:
            if ruled.ruling.action != "block" or (answers and not _is_answered(view, item, response)):
                raise
            conversation.append(*ruled.events)  # the words are withheld, and that is all
    return None


def _is_answered(view: CallView, item: ItemView, response: str) -> bool:
    """By an earlier response, whose owner could not record the verdict."""
    keys = list(view.items)
    behind = (view.items[key] for key in keys[keys.index(item.id) + 1 :])
    answers = (one.response for one in behind if one.role == "assistant")  # also those that a client added
    return any(one != response and not view.is_aside(one) for one in answers)


def _is_cleared(view: CallView, item: ItemView) -> bool:
    """Every guardrail has agreed, or one has ruled; a text that was rewritten meanwhile is judged again."""
    verdict = view.verdicts.get(("input", item.id))
    return verdict is not None and (verdict.action in ENDS or (verdict.action == "allow" and not verdict.guardrail))


def _check(conversation: Conversation, item: ItemView) -> Check:
    words = item.text if item.rewritten is None else item.rewritten
    return Check("input", words, conversation.context())


def _last_turn(view: CallView) -> ItemView | None:
    return next((item for item in reversed(view.items.values()) if item.role == "user"), None)


def _ruled_before(view: CallView, item: ItemView, response: str) -> Ruled | None:
    """A verdict on the last turn stands: it holds for this answer too, unless an agent was handed the call since."""
    verdict = view.verdicts.get(("input", item.id))
    if verdict is None or verdict.action not in ENDS:
        return None
    if verdict.action == "hand_off" and _handed_off_since(view, verdict, response):
        return None
    return ruled_before(verdict)


def _handed_off_since(view: CallView, verdict: VerdictGiven, response: str) -> bool:
    return view.speaker == verdict.to or any(handoff.event.response == response for handoff in view.handoffs)
