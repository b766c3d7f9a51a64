"""What a client has not got, though its gateway took it for heard. Pure."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from trunkline.proto.response import SegmentHeard
from trunkline.record.view import CallView


def never_reached(view: CallView, last: SegmentHeard | None) -> Mapping[str, Collection[int]]:
    """Segments that are recorded as heard, by item, behind what a client has. last: of the audio that it has.

    Its item is empty for a client that has none. What had no audio, as in a session of text, was not waited for.
    Nothing where last is unknown.
    """
    lost: defaultdict[str, set[int]] = defaultdict(set)
    behind = last is not None and not last.item
    for response in view.responses.values() if last is not None else ():
        for item in (view.items[key] for key in response.items if key in view.items):
            for index in item.segments:
                is_last = last is not None and (item.id, index) == (last.item, last.index)
                got = last.heard_samples if is_last and last is not None else 0
                if (behind or is_last) and item.played.get(index, 0) > got:
                    lost[item.id].add(index)
                behind = behind or is_last
    return lost
