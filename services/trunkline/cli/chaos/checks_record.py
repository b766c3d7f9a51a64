"""What must hold of a call's record by itself, as it lies in the store. Pure; each check yields what breaks it."""

from collections import Counter
from collections.abc import Iterator

from trunkline.cli.chaos.facts import Facts
from trunkline.proto import record


def epoch_never_decreases(facts: Facts) -> Iterator[str]:
    last = 0
    for one in facts.recorded:
        if one.entry.epoch < last:
            yield f"entry {one.seq} has epoch {one.entry.epoch} after epoch {last}"
        last = max(last, one.entry.epoch)


def owner_is_next_epoch(facts: Facts) -> Iterator[str]:
    """An epoch begins with its owner's event, one above the last and with a higher attach."""
    epoch, attach = 0, -1
    for one in facts.recorded:
        took = [event for event in one.entry.events if isinstance(event, record.OwnerTook)]
        if not took:
            if one.entry.epoch > epoch:
                yield f"entry {one.seq} has epoch {one.entry.epoch} without an owner's event"
                epoch = one.entry.epoch
            continue
        if one.entry.epoch != epoch + 1 or len(took) > 1:
            yield f"entry {one.seq}: owner {took[0].worker} took epoch {one.entry.epoch} after epoch {epoch}"
        if took[0].attach <= attach:
            yield f"entry {one.seq}: owner {took[0].worker} took attach {took[0].attach} after {attach}"
        epoch, attach = max(epoch, one.entry.epoch), max(attach, took[0].attach)


def hub_never_decreases(facts: Facts) -> Iterator[str]:
    last = 0
    for attached in facts.of(record.HubAttached):
        if attached.hub < last:
            yield f"hub {attached.hub} ({attached.gateway}) attached after hub {last}"
        last = max(last, attached.hub)


def index_is_dense(facts: Facts) -> Iterator[str]:
    due = 0
    for one in facts.recorded:
        if one.entry.index != due:
            yield f"entry {one.seq} begins with event {one.entry.index} where {due} was due"
        due = one.entry.index + len(one.entry.events)


def ids_are_unique(facts: Facts) -> Iterator[str]:
    """Within the call; the ids of two calls are told apart by the checker."""
    counted = Counter(name_of(event.event) for event in facts.events)
    counted.update(f"entry {entry.entry}" for entry in facts.entries)
    for name, times in counted.items():
        if name and times > 1:
            yield f"{name} stands {times} times"


def name_of(event: record.Event) -> str:
    """What an event brings into being, empty for one that only changes something."""
    match event:
        case record.CallerSaid(item=item) | record.AssistantItem(item=item):
            return f"item {item}"
        case record.ResponseOpened(response=response):
            return f"response {response}"
        case record.ToolIntended(tool_call=tool_call):
            return f"tool call {tool_call}"
        case record.SegmentSaid(item=item, index=index):
            return f"segment {index} of {item}"
        case record.PlayedOut(item=item, index=index):
            return f"the hearing of segment {index} of {item}"
        case record.ResponseClosed(response=response):
            return f"the end of response {response}"
        case _:
            return ""


def ended_once(facts: Facts) -> Iterator[str]:
    """One end, nothing after it, and the caller knows of it."""
    ends = [number for number, stored in enumerate(facts.events) if isinstance(stored.event, record.Ended)]
    if len(ends) != 1:
        yield f"the record has {len(ends)} ends"
        return
    after = facts.events[ends[0] + 1 :]
    if after:
        yield f"{len(after)} events after the end, the first a {type(after[0].event).__name__}"
    if facts.account.end == "unaware":
        yield f"the caller never learned of the end ({facts.account.problem or 'nothing came'})"


def no_strays(facts: Facts) -> Iterator[str]:
    """Nothing in a record is about something that isn't there."""
    if facts.view.strays:
        yield f"{facts.view.strays} events about what isn't there, or that begin what is there already"


def responses_close(facts: Facts) -> Iterator[str]:
    """Every response has its end, and no turn of the caller has two responses."""
    for response in facts.view.responses.values():
        if response.status is None:
            yield f"{response.id} (turn {response.turn}) has no end"
    answered = Counter(response.turn for response in facts.view.responses.values() if response.turn)
    for turn, times in answered.items():
        if times > 1:
            yield f"turn {turn} has {times} responses"


def segments_are_dense(facts: Facts) -> Iterator[str]:
    """The segments of an item are numbered from 0, as they were said."""
    due: dict[str, int] = {}
    for segment in facts.of(record.SegmentSaid):
        if segment.index != due.get(segment.item, 0):
            yield f"segment {segment.index} of {segment.item} where {due.get(segment.item, 0)} was due"
        due[segment.item] = segment.index + 1


def played_was_said(facts: Facts) -> Iterator[str]:
    """Only what was said was heard: by the record, and by the caller."""
    said: set[tuple[str, int]] = set()
    for stored in facts.events:
        match stored.event:
            case record.SegmentSaid(item=item, index=index):
                said.add((item, index))
            case record.PlayedOut(item=item, index=index) if (item, index) not in said:
                yield f"segment {index} of {item} was recorded as heard before it was said"
    items = {item for item, _ in said}
    for piece in facts.account.heard:
        known = piece.item in items if piece.segment < 0 else (piece.item, piece.segment) in said
        if not known:
            yield f"the caller heard segment {piece.segment} of {piece.item}, which the record doesn't have"


def said_is_heard_or_truncated(facts: Facts) -> Iterator[str]:
    """Where nobody came back for the call, what was heard last can't be known."""
    if facts.view.ended is not None and facts.view.ended.reason == "lost":
        return
    for item in facts.view.items.values():
        if item.response and item.truncated is None:
            unheard = [index for index in item.segments if index not in item.played]
            if unheard:
                yield f"segments {unheard} of {item.id} were neither heard nor truncated"
