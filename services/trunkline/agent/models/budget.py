"""The conversation within a budget of tokens: the oldest goes first. Pure.

What stays is the end of the conversation, untouched: no phase is lost, no tool call is parted from its output, and
the caller's last words with all that followed are always there.
"""

from collections.abc import Sequence
from itertools import accumulate

from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem
from trunkline.images.detail import UNKNOWN, Size, patches_of
from trunkline.proto.image import ShownImage

ITEM_TOKENS = 4  # of role, separators and ids around an item's text
CHARACTERS_PER_TOKEN = 4  # of ASCII; any other character counts as a token of its own


def within_budget(items: tuple[HistoryItem, ...], tokens: int) -> tuple[HistoryItem, ...]:
    """tokens: by `tokens_of`, 0 for no limit; instructions and tools aren't counted.

    Whole turns go first: the caller's words and what followed them. A turn that is over the budget by itself keeps
    as much of its end as fits. The last turn stays whole, even when it is over.
    """
    if tokens == 0:
        return items
    sizes = [*accumulate((tokens_of(item) for item in reversed(items)), initial=0)][::-1]  # from there to the end
    cuts = _cuts(items)
    turns = [cut for cut in cuts if cut == 0 or _is_callers(items[cut])]
    last = max((turn for turn in turns if turn == 0 or turn <= _last_words(items)), default=0)
    start = min((turn for turn in turns if turn < last and sizes[turn] <= tokens), default=last)
    if start:
        before = max(turn for turn in turns if turn < start)
        if sizes[before] - sizes[start] > tokens:
            start = min((cut for cut in cuts if before < cut < start and sizes[cut] <= tokens), default=start)
    return items[start:]


def tokens_of(item: HistoryItem) -> int:
    """An estimate, rather too high: ITEM_TOKENS, a token per four ASCII characters, one per any other, and one per
    patch of a picture.

    Source: the vendor's rule of thumb for English; scripts without spaces come to about a token per character.
    """
    images: tuple[ShownImage, ...] = ()
    match item:
        case MessageItem(text=texts, images=images):
            pass
        case ToolCallItem(name=name, arguments=arguments):
            texts = name + arguments
        case ToolOutputItem(output=texts, images=images):
            pass
    plain = len(texts.encode("ascii", "ignore"))
    return ITEM_TOKENS + -(-plain // CHARACTERS_PER_TOKEN) + len(texts) - plain + sum(map(_patches, images))


def _patches(image: ShownImage) -> int:
    """As a model of which nothing is known looks at it."""
    size = Size(max(1, image.width), max(1, image.height))
    return patches_of(UNKNOWN.target(size, UNKNOWN.level(image.detail)))


def _cuts(items: Sequence[HistoryItem]) -> list[int]:
    """Where the conversation may begin: before any item, but not between a tool call and its output."""
    ends = {item.id: index for index, item in enumerate(items) if isinstance(item, ToolOutputItem)}
    cuts: list[int] = []
    together_until = -1
    for index, item in enumerate(items):
        if index > together_until:
            cuts.append(index)
        if isinstance(item, ToolCallItem):
            together_until = max(together_until, ends.get(item.id, -1))
    return cuts or [0]


def _is_callers(item: HistoryItem) -> bool:
    return isinstance(item, MessageItem) and item.role == "user"


def _last_words(items: Sequence[HistoryItem]) -> int:
    return max((index for index, item in enumerate(items) if _is_callers(item)), default=0)
