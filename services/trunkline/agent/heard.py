"""What of an interrupted response is recorded as heard.

Pure. What a record has of an item as heard is shortened by what comes later, never made longer.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from trunkline.proto.record import ItemTruncated
from trunkline.proto.response import SegmentHeard
from trunkline.record import CallView, heard_of


def truncations_of(
    view: CallView, response: str, extents: Iterable[SegmentHeard], at_us: int
) -> Iterator[ItemTruncated]:
    """For each item of the response that wasn't heard whole. What extents don't name was heard if it was played.

    Nothing for an item of which no more than that is recorded already: told again, it changes nothing.
    """
    by_item: defaultdict[str, dict[int, SegmentHeard]] = defaultdict(dict)
    for extent in extents:
        by_item[extent.item][extent.index] = extent
    for key in view.responses[response].items:
        item = view.items.get(key)
        if item is None or (item.truncated is not None and not by_item[key]):
            continue  # of one that was cut nothing new is told
        heard = heard_of(list(item.segments.values()), by_item[key], item.played)
        known = item.truncated
        if not heard.whole and (known is None or heard.samples < known.heard_samples):
            yield ItemTruncated(at_us, key, heard.text, heard.samples, heard.approximate)
