"""What TTS is asked and what it reports. Segments are numbered by the gateway, from 1, across the whole call."""

import msgspec


class Speak(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="speak"):
    """Gateway -> TTS: place a call; audio goes out under `handle`. patient: calls go before it."""

    handle: int
    voice: str = ""
    patient: bool = False


class Synthesise(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="synthesise"):
    """Gateway -> TTS: speak text as this segment, in order of number.

    from_sample: where to begin in the segment's audio (SPEECH_RATE_HZ): more than 0 when audio was lost.
    urgent: the first segment of a response; its first chunk goes before other calls' later ones.
    """

    segment: int
    text: str
    voice: str = ""
    speed: float = 1.0
    from_sample: int = 0
    urgent: bool = False


class Hush(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="hush"):
    """Gateway -> TTS: drop every segment up to and including this one, spoken or waiting."""

    to_segment: int


class SegmentSpoken(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="segment_spoken"):
    """TTS -> gateway: the segment's audio is complete: samples in all, at SPEECH_RATE_HZ.

    synthesise_ms: from the order to the first audio.
    """

    segment: int
    samples: int
    synthesise_ms: float = 0.0


class SegmentFailed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="segment_failed"):
    """TTS -> gateway: the segment won't be spoken (any further)."""

    segment: int
    reason: str
