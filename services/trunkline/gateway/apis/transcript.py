"""What was said in a file, piece by piece, and the forms in which clients want it. Pure.

Formats: the vendor's `TranscriptionVerbose`; SubRip; WebVTT (W3C).
"""

import zlib
from collections.abc import Sequence

import msgspec

FRAME_S = 0.01  # of `seek`
NOT_MEASURED = 0.0


class Said(msgspec.Struct, frozen=True):
    """An utterance. Times in seconds since the file began."""

    text: str
    start_s: float
    end_s: float


class Duration(msgspec.Struct, frozen=True, tag_field="type", tag="duration"):
    """What was used, as long as the audio is."""

    seconds: float


class Brief(msgspec.Struct, frozen=True):
    """json."""

    text: str
    usage: Duration


class Segment(msgspec.Struct, frozen=True):
    """All that the vendor's has. avg_logprob, no_speech_prob: the recogniser doesn't tell. tokens: it has none."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    compression_ratio: float
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    avg_logprob: float = NOT_MEASURED
    no_speech_prob: float = NOT_MEASURED


class Verbose(msgspec.Struct, frozen=True, omit_defaults=True):
    """verbose_json. language: ISO 639-1."""

    task: str
    language: str
    duration: float
    text: str
    usage: Duration
    segments: list[Segment] | None = None


def text_of(said: Sequence[Said]) -> str:
    return " ".join(one.text for one in said)


def brief(said: Sequence[Said], seconds: float) -> Brief:
    return Brief(text_of(said), Duration(round(seconds, 3)))


def verbose(said: Sequence[Said], seconds: float, language: str) -> Verbose:
    segments = [_segment(number, one) for number, one in enumerate(said)]
    seconds = round(seconds, 3)
    return Verbose("transcribe", language, seconds, text_of(said), Duration(seconds), segments)


def plain(said: Sequence[Said]) -> str:
    return text_of(said) + "\n"


def srt(said: Sequence[Said]) -> str:
    cues = (
        f"{number}\n{_time(one.start_s, ',')} --> {_time(one.end_s, ',')}\n{one.text}\n\n"
        for number, one in enumerate(said, start=1)
    )
    return "".join(cues)


def vtt(said: Sequence[Said]) -> str:
    cues = (f"{_time(one.start_s, '.')} --> {_time(one.end_s, '.')}\n{_escaped(one.text)}\n\n" for one in said)
    return "WEBVTT\n\n" + "".join(cues)


def _segment(number: int, said: Said) -> Segment:
    data = said.text.encode()
    ratio = len(data) / len(zlib.compress(data))
    start_s, end_s = round(said.start_s, 3), round(said.end_s, 3)
    return Segment(number, round(start_s / FRAME_S), start_s, end_s, said.text, round(ratio, 3))


def _time(seconds: float, point: str) -> str:
    whole, ms = divmod(round(seconds * 1000), 1000)
    minutes, s = divmod(whole, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{s:02}{point}{ms:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
