"""What a caller was promised, checked against what he tells. Pure; each check yields what breaks it."""

from collections import Counter
from collections.abc import Iterator, Sequence

from trunkline.cli.chaos.evidence import Said
from trunkline.cli.chaos.facts import Facts
from trunkline.proto.record import CallerSaid, ItemTruncated, PlayedOut
from trunkline.record import ItemView

STUCK_S = 30.0
OWN_ENDS = ("caller_hung_up", "agent_hung_up")  # how a call ends that nothing went wrong with


def words_of(text: str) -> str:
    """What of a text must be equal: its words."""
    return " ".join(text.split())


def stays_connected(facts: Facts) -> Iterator[str]:
    """A call ends because one of the two hangs up, for nothing else.

    A caller whose gateway dies as either of them hangs up, or whose machine is gone, is lost only after he has gone.
    """
    ended, account = facts.view.ended, facts.account
    gone = ended is not None and account.end != "unaware" and ended.at_us / 1e6 > account.ended_s
    if ended is not None and ended.reason not in OWN_ENDS and not (ended.reason == "lost" and gone):
        yield f"the call ended with {ended.reason!r}"
    if account.problem:
        yield f"the caller says: {account.problem}"


def turns_are_what_was_said(facts: Facts) -> Iterator[str]:
    said = [words_of(one.words) for one in facts.account.said]
    texts = _as_said(facts)
    recorded = [words_of(texts[item.id]) for item in facts.view.items.values() if item.role == "user"]
    told = [words_of(text) for text in facts.account.transcripts]
    if facts.account.end == "vanished":
        recorded, told = recorded[: len(said)], told[: len(said)]
    if recorded != said:
        yield _difference("the record", recorded, said)
    if told != said:
        yield _difference("the transcript that the caller was sent", told, said)


def _as_said(facts: Facts) -> dict[str, str]:
    """The caller's words by item, before policy rewrote them for the model."""
    return {event.item: event.text for event in facts.of(CallerSaid)}


def _difference(where: str, found: Sequence[str], said: Sequence[str]) -> str:
    missing, extra = Counter(said) - Counter(found), Counter(found) - Counter(said)
    if not missing and not extra:
        return f"{where} has the turns in another order: {list(found)}"
    return f"{where} lacks {sorted(missing.elements())} and has beyond what was said {sorted(extra.elements())}"


def segments_are_heard_once(facts: Facts) -> Iterator[str]:
    """What came of a segment joins without a gap or a repeat, segments in order, and is as long as was recorded."""
    ends: dict[tuple[str, int], int] = {}
    last: dict[str, int] = {}
    for piece in facts.account.heard:
        if piece.segment < 0:
            continue
        key = piece.item, piece.segment
        due = ends.get(key, 0)
        if piece.position != due:
            yield f"segment {piece.segment} of {piece.item} goes on at sample {piece.position} where {due} was due"
        if piece.segment < last.get(piece.item, 0):
            yield f"segment {piece.segment} of {piece.item} was heard after segment {last[piece.item]}"
        last[piece.item] = piece.segment
        ends[key] = piece.position + piece.samples
    for played in _played_for_good(facts) if ends and facts.account.end != "vanished" else ():
        heard = ends.get((played.item, played.index), 0)
        if heard != played.samples:
            segment = f"segment {played.index} of {played.item}"
            yield f"{segment} was recorded as heard to its end at {played.samples} samples, the caller got {heard}"


def _played_for_good(facts: Facts) -> Iterator[PlayedOut]:
    """Not what a later owner cut by the client's word on what came of it: the gateway before took it for heard.

    Nor news that nobody asked for, which may be on its way to a caller who hangs up.
    """
    cut: dict[str, int] = {}
    for stored in facts.events:
        if isinstance(stored.event, ItemTruncated):
            cut[stored.event.item] = stored.epoch
    for stored in facts.events:
        event = stored.event
        if isinstance(event, PlayedOut) and stored.epoch >= cut.get(event.item, 0) and not _is_news(facts, event.item):
            yield event


def _is_news(facts: Facts, item: str) -> bool:
    told = facts.view.items.get(item)
    response = facts.view.responses.get(told.response) if told is not None else None
    return response is not None and bool(response.news)


def turns_are_answered(facts: Facts) -> Iterator[str]:
    for one in facts.account.said:
        if not one.answered_s:
            yield f"{one.words!r} ({one.kind}) was never answered"
        elif one.answered_s - one.ended_s > STUCK_S:
            yield f"{one.words!r} ({one.kind}) was answered after {one.answered_s - one.ended_s:.1f} s"


def replies_are_whole(facts: Facts) -> Iterator[str]:
    """The model's words read as they would have without any fault, unless the caller cut it short himself."""
    texts = _as_said(facts)
    asked = {words_of(texts[item.id]): item for item in facts.view.items.values() if item.role == "user"}
    begun_s = [*(one.ended_s for one in facts.account.said[1:]), float("inf")]
    for one, until_s in zip(facts.account.said, begun_s, strict=False):
        item = asked.get(words_of(one.words))
        if one.reply and item is not None:
            cut = any(one.ended_s <= at_s <= until_s for at_s in facts.account.interruptions_s)
            yield from _compare(facts, one, item, cut)


def _compare(facts: Facts, said: Said, item: ItemView, cut: bool) -> Iterator[str]:
    response = next((one for one in facts.view.responses.values() if one.turn == item.turn), None)
    if response is None or response.status is None:  # told by other invariants
        return
    items = [facts.view.items[key] for key in response.items if key in facts.view.items]
    text = words_of(" ".join(one.text for one in items if one.source == "model"))
    if response.status != "completed" and not cut:
        yield f"the reply to {said.words!r} is {response.status} ({response.reason}) without the caller's doing"
    elif text != words_of(said.reply) and not (cut and words_of(said.reply).startswith(text)):
        yield f"the reply to {said.words!r} reads {text!r}, not {words_of(said.reply)!r}"
