"""What a new owner of a call makes of the record and of what its gateway recalls.

Pure. Words count as told by their ids: responses by id, items by id, segments by item and index; nothing is told twice.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from trunkline.bus.port import Headers
from trunkline.proto import record
from trunkline.proto.response import (
    ItemFinished,
    ItemStarted,
    PhaseSettled,
    Recall,
    ResponseFinished,
    ResponseStarted,
    Say,
    Source,
    ToolAsked,
    Utterance,
)
from trunkline.record import ApprovalView, CallView, ItemView, ResponseView, never_reached


class SetWords(NamedTuple):
    """Of a response that no model answers."""

    text: str
    then_hang_up: bool


class Takeover(NamedTuple):
    """held: words of responses that aren't known yet: what they answer must stand in the record before them.

    by_itself: of those, what nobody asked for: an agent began it.
    changed: responses that were opened or closed meanwhile. headers: of those that the gateway asked for again.
    """

    recall: Recall
    held: dict[str, list[Utterance]]
    by_itself: set[str]
    changed: set[str]
    headers: dict[str, Headers | None]
    set_words: dict[str, SetWords]


def adopted(view: CallView, said: Utterance, at_us: int) -> Iterator[record.Event]:
    """What the record lacks of something that an earlier agent said; the caller may have heard it."""
    match said:
        case ResponseStarted(response=response, turn=turn):
            if response not in view.responses:
                yield record.ResponseOpened(at_us, response, turn)
        case ResponseFinished(response=response, status=status, detail=detail):
            if (opened := view.responses.get(response)) is not None and opened.status is None:
                yield record.ResponseClosed(at_us, response, status, detail)
        case ItemStarted(response=response, item=key, phase=phase, source=source, voice=voice):
            if key not in view.items and key not in view.deleted:
                speaker = view.speaker if view.handoffs else ""
                yield record.AssistantItem(at_us, response, key, phase, source, speaker, voice)
        case ToolAsked():
            return  # it was durable before it was said
        case _:
            if (item := view.items.get(said.item)) is not None:
                yield from _adopted_of(item, said, at_us)


def _adopted_of(item: ItemView, said: Say | PhaseSettled | ItemFinished, at_us: int) -> Iterator[record.Event]:
    match said:
        case Say(index=index, text=text):
            if index not in item.segments:
                yield record.SegmentSaid(at_us, item.id, index, text)
        case PhaseSettled(phase=phase):
            if item.phase is None:
                yield record.ItemPhaseSettled(at_us, item.id, phase)
        case ItemFinished():
            if item.status == "in_progress":
                yield record.ItemClosed(at_us, item.id)


def said_again(view: CallView, recall: Recall, changed: Collection[str] = ()) -> Iterator[Utterance]:
    """What is recorded of the responses whose end the gateway doesn't have, as if it were said now.

    changed: responses opened or closed since the gateway was last told. A gateway that is new to the call is told
    what nobody heard of any response, and nothing that was heard to its end, unless its client never got it.
    """
    unheard = _unheard(view, never_reached(view, recall.got)) if recall.afresh else None
    for response in view.responses.values():
        known = response.id in recall.unfinished or response.id in changed
        if known or (unheard is not None and _is_due(view, response, unheard)):
            yield from _response_again(view, response, unheard)


def _is_due(view: CallView, response: ResponseView, unheard: Mapping[str, Collection[int]]) -> bool:
    """To a gateway that has none of it."""
    is_open = response.status is None or bool(view.open_at_client(response))
    return is_open or not unheard.keys().isdisjoint(response.items)


def _response_again(
    view: CallView, response: ResponseView, unheard: Mapping[str, Collection[int]] | None
) -> Iterator[Utterance]:
    yield ResponseStarted(response.id, response.turn)
    for key in response.items:
        item = view.items.get(key)
        if item is None or item.truncated is not None or (item.status == "blocked" and not item.segments):
            continue  # no more of it is to be heard, or never was
        if unheard is None:
            yield from _item_again(item, item.segments)
        elif key in unheard or item.status == "in_progress":
            yield from _item_again(item, unheard.get(key, ()))
    for tool in view.open_at_client(response):
        yield ToolAsked(response.id, tool.id, tool.name, tool.arguments)
    if response.status is not None:
        yield ResponseFinished(response.id, response.status, response.reason)


def _item_again(item: ItemView, indexes: Collection[int]) -> Iterator[Utterance]:
    yield ItemStarted(item.response, item.id, item.phase, _source_of(item), item.voice)
    for index, text in item.segments.items():
        if index in indexes:
            yield Say(item.response, item.id, index, text)
    if item.status != "in_progress":
        yield ItemFinished(item.response, item.id, item.text, item.phase)
    elif item.phase is not None:
        yield PhaseSettled(item.response, item.id, item.phase)  # perhaps it is known to have begun without


def _unheard(view: CallView, lost: Mapping[str, Collection[int]]) -> Mapping[str, Collection[int]]:
    """By item, the segments behind the last that was heard or cut off: the conversation has gone past the others."""
    unheard: defaultdict[str, set[int]] = defaultdict(set)
    for response in view.responses.values():
        for item in (view.items[key] for key in response.items if key in view.items):
            if item.truncated is not None:
                unheard.clear()
                continue
            for index in item.segments:
                if index in item.played and index not in lost.get(item.id, ()):
                    unheard.clear()
                else:
                    unheard[item.id].add(index)
    return unheard


def of_this_round(view: CallView, response: str) -> list[str]:
    """Ids of the messages behind the response's last tool call: a round that was cut, or nothing."""
    one = view.responses[response]
    ended = [view.tools[one.tools[-1]].after] if one.tools else []
    ended += [handoff.item for handoff in view.handoffs if handoff.event.response == response]
    after = max((one.items.index(item) + 1 for item in ended if item in one.items), default=0)
    return one.items[after:]


def handoffs_made(view: CallView, response: str) -> int:
    return sum(handoff.event.response == response for handoff in view.handoffs)


def answer_approval(view: CallView, response: str) -> ApprovalView | None:
    """Of the answer that waits, or waited, for a person; nothing of it was said before. None once its round is over."""
    of_answers = [a for a in view.approvals.values() if a.asked.kind == "answer" and a.asked.response == response]
    if not of_answers or any(tool.response == response for tool in list(view.tools.values())[of_answers[-1].tools :]):
        return None
    return of_answers[-1]


def rounds_made(view: CallView, response: str) -> int:
    """Rounds with tools that are over, as far as their messages tell them apart."""
    return len({view.tools[key].after for key in view.responses[response].tools})


def without_outcome(view: CallView) -> list[str]:
    """The responses with tools that have no outcome yet, in order."""
    return list(dict.fromkeys(tool.response for tool in view.tools.values() if tool.status is None))


def _source_of(item: ItemView) -> Source:
    match item.source:
        case "speech" | "text" | "client":
            raise ValueError(f"{item.id} is no agent's")
        case source:
            return source
