"""What a caller heard of a message that was interrupted: exact by segment, in proportion within one.

Pure. The heard text is always the message's own words from where they stand; nothing is heard that wasn't said.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.response import SegmentHeard

SPOKEN_CHARACTERS_PER_S = 15  # of English speech; used only where a segment's length isn't known yet


class Heard(NamedTuple):
    """text: what was heard; samples: how long, at SPEECH_RATE_HZ; approximate: cut within a segment.

    whole: every segment was heard to its end, so there is nothing to truncate.
    """

    text: str
    samples: int
    approximate: bool
    whole: bool


def heard_of(segments: Sequence[str], extents: Mapping[int, SegmentHeard], played: Collection[int]) -> Heard:
    """segments: the item's texts in order. extents: by index of the segment, as told with an interruption.

    played: indexes of segments known to be heard to their end; they count where extents say nothing, and their
    length is estimated.
    """
    texts: list[str] = []
    samples = 0
    approximate = False
    whole = True
    for index, text in enumerate(segments):
        extent = extents.get(index)
        if extent is None:
            heard_here = text if index in played else ""
            samples += _spoken_samples(heard_here)
        else:
            heard_here = _heard_within(text, extent)
            samples += extent.heard_samples
            approximate = approximate or 0 < len(heard_here) < len(text)
        whole = whole and heard_here == text
        texts.append(heard_here)
    joined = "".join(texts)
    return Heard(joined if whole else joined.rstrip(), samples, approximate, whole)


def _heard_within(text: str, extent: SegmentHeard) -> str:
    """The words of text that were over after extent.heard_samples; a word heard in part doesn't count."""
    total_samples = extent.total_samples or _spoken_samples(text)
    if extent.heard_samples >= total_samples and extent.total_samples:
        return text
    cut = len(text) * max(0, extent.heard_samples) // max(1, total_samples)
    if cut >= len(text):
        cut = len(text) - 1  # the length was only estimated: the last word is not counted as heard
    if cut <= 0:
        return ""
    if text[cut].isspace():
        return text[:cut]
    return text[: _start_of_word(text, cut)]


def _spoken_samples(text: str) -> int:
    return len(text) * SPEECH_RATE_HZ // SPOKEN_CHARACTERS_PER_S


def _start_of_word(text: str, position: int) -> int:
    while position > 0 and not text[position - 1].isspace():
        position -= 1
    return position
