"""Where one segment's audio stands: which samples are still to go out, cut into chunks. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from trunkline.audio.pcm import EMPTY, Samples
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.tts.render import Rendered

CHUNK_SAMPLES = SPEECH_RATE_HZ // 5  # 200 ms


class Cut(NamedTuple):
    position: int  # of the first sample, since the segment began
    samples: Samples
    last: bool


class SegmentAudio:
    """from_sample: what lies before it was heard already, and is rendered but not sent."""

    def __init__(self, from_sample: int) -> None:
        self._from = from_sample
        self._rendered = 0

    @property
    def samples(self) -> int:
        """Of the segment so far, the skipped ones included; where the next chunk begins."""
        return max(self._rendered, self._from)

    def take(self, rendered: Rendered) -> Iterator[Cut]:
        """The chunks of one step, the very last of a segment marked; that one may be empty."""
        begin = self._rendered
        self._rendered += len(rendered.samples)
        skipped = min(max(0, self._from - begin), len(rendered.samples))
        fresh = rendered.samples[skipped:]
        at = max(begin + skipped, self._from)
        while len(fresh) > CHUNK_SAMPLES:
            yield Cut(at, fresh[:CHUNK_SAMPLES], last=False)
            at, fresh = at + CHUNK_SAMPLES, fresh[CHUNK_SAMPLES:]
        if len(fresh):
            yield Cut(at, fresh, last=rendered.last)
        elif rendered.last:
            yield Cut(at, EMPTY, last=True)
