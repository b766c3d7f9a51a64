"""What must hold of policy, of who speaks, and of a call that the agent ends. Pure; yields what breaks it."""

from collections.abc import Iterator

from trunkline.cli.chaos.facts import Facts
from trunkline.proto.record import AssistantItem, CallerSaid, HandedOff, ItemTruncated, SegmentSaid, VerdictGiven

HUNG_UP = "agent_hung_up"
END_CALL = "end_call"


def forbidden_is_nowhere(facts: Facts) -> Iterator[str]:
    """Neither said nor shown: no character of what policy forbids."""
    for event in facts.of(SegmentSaid):
        yield from (f"{event.item} says {event.text!r}" for word in facts.run.forbidden if word in event.text)
    for cut in facts.of(ItemTruncated):
        yield from (f"{cut.item} was heard as {cut.heard_text!r}" for w in facts.run.forbidden if w in cut.heard_text)
    for leak in facts.account.leaks:
        yield f"the caller was sent {leak[:300]}"


def blocked_words_are_not_answered(facts: Facts) -> Iterator[str]:
    """Where policy blocks the caller's words, no word of the model's is said and no tool of its is wanted."""
    turns = {event.item: event.turn for event in facts.of(CallerSaid)}
    blocked = {
        turns[verdict.subject]
        for verdict in facts.of(VerdictGiven)
        if verdict.point == "input" and verdict.action in ("block", "end") and turns.get(verdict.subject)
    }
    for response in facts.view.responses.values():
        if response.turn not in blocked:
            continue
        for item in (facts.view.items[key] for key in response.items if key in facts.view.items):
            if item.source == "model" and item.segments:
                yield f"turn {response.turn} was blocked, and the model said {item.text!r}"
        for key in response.tools:
            if facts.view.tools[key].name != END_CALL:
                yield f"turn {response.turn} was blocked, and {facts.view.tools[key].name} was wanted"


def items_follow_handoffs(facts: Facts) -> Iterator[str]:
    """Every message is of the agent that was handed the call last; empty for the call's first."""
    speaker = ""
    for stored in facts.events:
        match stored.event:
            case HandedOff(to=to):
                speaker = to
            case AssistantItem(item=item, agent=agent) if agent != speaker:
                yield f"{item} is {agent or 'the first agent'}'s, while {speaker or 'the first agent'} speaks"


def goodbyes_are_heard(facts: Facts) -> Iterator[str]:
    """An agent ends a call only by a tool whose intent stands, once its last words are heard whole."""
    ends = [key for key, intent in facts.intents.items() if intent.name == END_CALL]
    done = [key for key in ends if any(outcome.status == "ok" for outcome in facts.outcomes.get(key, ()))]
    if facts.view.ended is None or facts.view.ended.reason != HUNG_UP:
        yield from (f"{key} is ok, and the agent didn't end the call" for key in done)
        return
    if len(done) != 1:
        yield f"the agent hung up, and of {ends} {done or 'none'} did it"
        return
    place = next(one.place for one in facts.events if getattr(one.event, "tool_call", "") == done[0])
    for stored in facts.stored(CallerSaid):
        if stored.place > place:
            yield f"the agent hung up though the caller said {stored.event.text!r} since"
    response = facts.view.responses.get(facts.intents[done[0]].response)
    for item in (facts.view.items[key] for key in response.items if key in facts.view.items) if response else ():
        unheard = [index for index in item.segments if index not in item.played]
        if item.truncated is not None or unheard:
            yield f"the agent hung up before {item.id} was heard: {item.heard_text!r} of {item.text!r}"


def phases_are_known(facts: Facts) -> Iterator[str]:
    """Of every message that is over and was heard whole."""
    for item in facts.view.items.values():
        if item.response and item.status == "completed" and item.segments and item.phase is None:
            yield f"{item.id} has no phase"
