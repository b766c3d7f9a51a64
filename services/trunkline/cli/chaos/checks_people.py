"""What must hold of approvals: nothing before a person's word, and that word stands. Pure; yields what breaks it."""

from collections import Counter
from collections.abc import Iterator

from trunkline.cli.chaos.checks_tools import Effects
from trunkline.cli.chaos.facts import Facts, Stored
from trunkline.proto.ids import call_of_approval
from trunkline.proto.record import ApprovalAsked, ApprovalDecided, AssistantItem, SegmentSaid, ToolIntended

ANSWERED_BY = ("model", "person")  # the sources of an answer's words


def approvals_are_decided_once(facts: Facts) -> Iterator[str]:
    """Nobody decides what was not asked; once the call is over, each has its decision."""
    decided = Counter(event.approval for event in facts.of(ApprovalDecided))
    asked = [event.approval for event in facts.of(ApprovalAsked)]
    for name, times in decided.items():
        if name not in asked:
            yield f"{name} was decided and never asked"
        elif times > 1:
            yield f"{name} was decided {times} times"
    if facts.view.ended is not None:
        for name in asked:
            if not decided[name]:
                yield f"{name} was never decided"


def decisions_stand(facts: Facts) -> Iterator[str]:
    """What a person was told stands in the record, and stood there when he was told."""
    decisions = _decisions(facts)
    for told in facts.run.decided:
        if call_of_approval(told.approval) != facts.call:
            continue
        stored = decisions.get(told.approval)
        if stored is None:
            yield f"{told.by} was told that {told.approval} is {told.decision}, and nothing of it stands"
            continue
        stands = stored.event
        if (stands.decision, stands.by) != (told.decision, told.decided_by):
            was_told = f"{told.by} was told that {told.approval} is {told.decision} by {told.decided_by!r}"
            yield f"{was_told}, and it is {stands.decision} by {stands.by!r}"
        elif told.at_s < stored.durable_s:
            yield f"{told.by} was told of {told.approval} {1000 * (stored.durable_s - told.at_s):.1f} ms early"


def approved_before_effect(facts: Facts, effects: Effects) -> Iterator[str]:
    """A tool that waits for a person runs only once it is approved, exactly as it was shown."""
    decisions = _decisions(facts)
    for asked in facts.of(ApprovalAsked):
        intent = facts.intents.get(asked.subject)
        if asked.kind != "tool" or intent is None:
            continue
        if asked.text != intent.arguments:
            yield f"{intent.tool_call} was shown as {asked.text}, and is {intent.arguments}"
        stored = decisions.get(asked.approval)
        approved = stored is not None and stored.event.decision == "approved"
        for effect in effects.get(intent.key, ()):
            if not approved or stored is None:
                word = stored.event.decision if stored is not None else "undecided"
                yield f"{intent.tool_call} ({intent.name}) is {word}, and took effect"
            elif effect.at_s < stored.durable_s:
                early_ms = 1000 * (stored.durable_s - effect.at_s)
                yield f"{intent.tool_call} took effect {early_ms:.1f} ms before its approval was durable"
        if not approved and any(outcome.status == "ok" for outcome in facts.outcomes.get(asked.subject, ())):
            yield f"{intent.tool_call} ({intent.name}) is ok without a person's word"


def asked_with_the_intent(facts: Facts) -> Iterator[str]:
    """No owner of the call ever finds the intent of a tool that waits without what it waits for."""
    entries = {stored.event.tool_call: stored.seq for stored in facts.stored(ToolIntended)}
    for stored in facts.stored(ApprovalAsked):
        asked = stored.event
        if asked.kind == "tool" and entries.get(asked.subject) != stored.seq:
            yield f"{asked.approval} and the intent {asked.subject} aren't in one entry"


def answers_wait_for_a_person(facts: Facts) -> Iterator[str]:
    """Of an answer that a person sees first nothing is said before his word; then exactly what he agreed to."""
    decisions = _decisions(facts)
    closed = {one.id: one.status for one in facts.view.responses.values()}
    for asked in facts.of(ApprovalAsked):
        if asked.kind != "answer":
            continue
        said = list(_answer_of(facts, asked.response))
        decided = decisions.get(asked.approval)
        if decided is None or decided.event.decision != "approved":
            if said:
                yield f"{asked.approval} wasn't approved, and {said[0].event.text!r} was said"
            continue
        if early := [one for one in said if one.place < decided.place]:
            yield f"{early[0].event.text!r} was said before {asked.approval} was decided"
        agreed = asked.text if decided.event.text is None else decided.event.text
        text = "".join(one.event.text for one in said)
        if text != agreed and not (closed.get(asked.response) != "completed" and agreed.startswith(text)):
            yield f"{asked.approval} is about {agreed!r}, and {text!r} was said"


def _answer_of(facts: Facts, response: str) -> Iterator[Stored[SegmentSaid]]:
    begun = {event.item: event for event in facts.of(AssistantItem) if event.response == response}
    for stored in facts.stored(SegmentSaid):
        item, view = begun.get(stored.event.item), facts.view.items.get(stored.event.item)
        if item is not None and item.source in ANSWERED_BY and (view is None or view.phase != "commentary"):
            yield stored


def _decisions(facts: Facts) -> dict[str, Stored[ApprovalDecided]]:
    """The first of each approval."""
    found: dict[str, Stored[ApprovalDecided]] = {}
    for stored in facts.stored(ApprovalDecided):
        found.setdefault(stored.event.approval, stored)
    return found
