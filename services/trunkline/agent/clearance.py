"""What must be true of a caller's words before an answer to them counts: the guardrails' verdict, once per turn.

Those that are parallel are asked while the model is; until all have agreed, what the model says is held.
"""

import asyncio

from trunkline.agent.conversation import Conversation
from trunkline.agent.image_places import moved
from trunkline.agent.policy import Judged
from trunkline.agent.rulings import Bench, Ruled, ruled_before
from trunkline.agents import Check
from trunkline.proto.record import VerdictGiven
from trunkline.proto.response import Inserted
from trunkline.record import ENDS, CallView, ItemView, given_subject


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
    if answers and last is not None and (ruled := _ruled_before(view, last.id, response)):
        raise ruled
    if not (policy.looks("input") or policy.looks("input", parallel=True)):
        return None
    for item in [item for item in view.items.values() if item.role == "user"]:
        if _is_cleared(view, item.id) or item.id not in view.items:
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


async def clear_given(conversation: Conversation, bench: Bench, response: str) -> None:
    """What a client puts before the model in place of the conversation, as a caller's turns; each is waited for.

    Raises Ruled as `clear` does, for a verdict on the last that nothing in the context answers.
    """
    policy, given = bench.policy, conversation.asked.context or ()
    if not (policy.looks("input") or policy.looks("input", parallel=True)):
        return
    for at, one in enumerate(given):
        if one.kind == "message" and one.role == "user":
            answers = all(later.role != "assistant" and later.role != "user" for later in given[at + 1 :])
            await _clear_given(conversation, bench, response, given_subject(response, at), one, answers=answers)


async def _clear_given(
    conversation: Conversation, bench: Bench, response: str, subject: str, given: Inserted, *, answers: bool
) -> None:
    view = conversation.view
    if answers and (ruled := _ruled_before(view, subject, response)):
        raise ruled
    if _is_cleared(view, subject):
        return
    text = view.rewritten.get(subject, given.text)
    try:
        for parallel in (False, True):
            images = moved(given.images, given.text, text)
            check = Check("input", text, conversation.context(), images=images)
            judged = await bench.policy.judge(check, parallel=parallel)
            text = bench.settle("input", subject, judged, final=parallel)
    except Ruled as ruled:
        if answers or ruled.ruling.action != "block":
            raise
        conversation.append(*ruled.events)  # the words are withheld, and that is all


def _is_answered(view: CallView, item: ItemView, response: str) -> bool:
    """By an earlier response, whose owner could not record the verdict."""
    keys = list(view.items)
    behind = (view.items[key] for key in keys[keys.index(item.id) + 1 :])
    answers = (one.response for one in behind if one.role == "assistant")  # also those that a client added
    return any(one != response and not view.is_aside(one) for one in answers)


def _is_cleared(view: CallView, subject: str) -> bool:
    """Every guardrail has agreed, or one has ruled; a text that was rewritten meanwhile is judged again."""
    verdict = view.verdicts.get(("input", subject))
    return verdict is not None and (verdict.action in ENDS or (verdict.action == "allow" and not verdict.guardrail))


def _check(conversation: Conversation, item: ItemView) -> Check:
    words = item.text if item.rewritten is None else item.rewritten
    return Check("input", words, conversation.context(), images=moved(item.images, item.text, words))


def _last_turn(view: CallView) -> ItemView | None:
    return next((item for item in reversed(view.items.values()) if item.role == "user"), None)


def _ruled_before(view: CallView, subject: str, response: str) -> Ruled | None:
    """A verdict on what is answered stands: it holds for this answer too, unless an agent was handed the call since."""
    verdict = view.verdicts.get(("input", subject))
    if verdict is None or verdict.action not in ENDS:
        return None
    if verdict.action == "hand_off" and _handed_off_since(view, verdict, response):
        return None
    return ruled_before(verdict)


def _handed_off_since(view: CallView, verdict: VerdictGiven, response: str) -> bool:
    return view.speaker == verdict.to or any(handoff.event.response == response for handoff in view.handoffs)
