"""The audio of a session, in and out: formats, transcription, voice and speed, and what an update changes. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.gateway.dialects.realtime.offer import Offer
from trunkline.gateway.dialects.realtime.turn_detection import (
    ServerVad,
    TurnDetection,
    TurnDetectionPatch,
    merge_turn_detection,
)
from trunkline.proto.errors import BadInput

FormatType = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
PCM_RATE_HZ = 24_000
G711_RATE_HZ = 8_000
INPUT, OUTPUT = "session.audio.input", "session.audio.output"
UNHEEDED = ("prompt", "keywords", "delay")
"""Of a transcription: hints to the recogniser, which takes none."""


class Format(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """rate: Hz, of audio/pcm alone."""

    type: FormatType
    rate: int | None = None

    @property
    def rate_hz(self) -> int:
        return self.rate or (PCM_RATE_HZ if self.type == "audio/pcm" else G711_RATE_HZ)


class Transcription(msgspec.Struct, frozen=True, omit_defaults=True):
    """The client hears the caller's words. model: whatever its name, the STT engine of the installation does it."""

    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None


class Input(msgspec.Struct, frozen=True):
    """transcription: None keeps the caller's words from the client; the agent has them all the same."""

    format: Format
    transcription: Transcription | None
    turn_detection: TurnDetection | None
    noise_reduction: None = None


class Output(msgspec.Struct, frozen=True):
    """voice: empty until a client or the agent names one."""

    format: Format
    voice: str
    speed: float


class Audio(msgspec.Struct, frozen=True):
    input: Input
    output: Output


class TranscriptionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    languages: list[str] | UnsetType | None = UNSET
    prompt: msgspec.Raw | UnsetType = UNSET
    keywords: msgspec.Raw | UnsetType = UNSET
    delay: msgspec.Raw | UnsetType = UNSET


class CustomVoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As good as its id."""

    id: str


class InputPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Format | UnsetType | None = UNSET
    transcription: TranscriptionPatch | UnsetType | None = UNSET
    noise_reduction: msgspec.Raw | UnsetType = UNSET
    turn_detection: TurnDetectionPatch | UnsetType | None = UNSET


class OutputPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None of a field is its default."""

    format: Format | UnsetType | None = UNSET
    voice: str | CustomVoice | UnsetType | None = UNSET
    speed: float | UnsetType | None = UNSET


class AudioPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input: InputPatch | UnsetType | None = UNSET
    output: OutputPatch | UnsetType | None = UNSET


def new_audio(voice: str) -> Audio:
    """As a session begins."""
    return Audio(Input(PCM, Transcription(), ServerVad()), Output(PCM, voice, 1.0))


def merge_audio(old: Audio, patch: AudioPatch | UnsetType | None, offer: Offer) -> Audio:
    """Raises BadInput."""
    if patch is UNSET or patch is None:
        return old
    return Audio(merge_input(old.input, patch.input, offer), _merge_output(old.output, patch.output, offer))


def require_default(param: str, raw: msgspec.Raw | UnsetType, *allowed: object) -> None:
    """Of what isn't served. allowed: the default, as clients may spell it. Raises BadInput."""
    if raw is not UNSET and not _is_one_of(raw, allowed):
        words = msgspec.json.encode(allowed[0]).decode()
        raise BadInput(param, "is not supported yet", f"{words}, or leave it out", code="not_supported")


def _is_one_of(raw: msgspec.Raw, allowed: Sequence[object]) -> bool:
    try:
        return msgspec.json.decode(raw) in allowed
    except msgspec.MsgspecError:  # a number out of range, which is looked at only here
        return False


def merge_input(old: Input, patch: InputPatch | UnsetType | None, offer: Offer) -> Input:
    """Raises BadInput."""
    if patch is UNSET or patch is None:
        return old
    require_default(f"{INPUT}.noise_reduction", patch.noise_reduction, None)
    return Input(
        format=old.format if patch.format is UNSET else _format(patch.format, f"{INPUT}.format", offer.input_rates_hz),
        transcription=_merge_transcription(old.transcription, patch.transcription, offer),
        turn_detection=merge_turn_detection(old.turn_detection, patch.turn_detection),
    )


def _merge_transcription(
    old: Transcription | None, patch: TranscriptionPatch | UnsetType | None, offer: Offer
) -> Transcription | None:
    if patch is UNSET:
        return old
    if patch is None:
        return None
    param = f"{INPUT}.transcription"
    for name in UNHEEDED:
        require_default(f"{param}.{name}", getattr(patch, name), None)
    if isinstance(patch.language, str):
        offer.require_language(f"{param}.language", patch.language)
    for number, language in enumerate(patch.languages or ()):
        offer.require_language(f"{param}.languages[{number}]", language)
    fields = Transcription.__struct_fields__
    given = {name: getattr(patch, name) for name in fields if getattr(patch, name) is not UNSET}
    return msgspec.structs.replace(old or Transcription(), **given)


def _merge_output(old: Output, patch: OutputPatch | UnsetType | None, offer: Offer) -> Output:
    if patch is UNSET or patch is None:
        return old
    voice, speed = patch.voice, patch.speed
    if isinstance(voice, CustomVoice):
        voice = voice.id
    if voice:
        offer.require_voice(voice)
    if isinstance(speed, float) and not 0.25 <= speed <= 1.5:
        raise BadInput(f"{OUTPUT}.speed", f"is {speed}", "0.25 to 1.5")
    return Output(
        format=old.format if patch.format is UNSET else _format(patch.format, f"{OUTPUT}.format"),
        voice=old.voice if voice is UNSET else voice or offer.voice,
        speed=old.speed if speed is UNSET else 1.0 if speed is None else speed,
    )


def _format(wanted: Format | None, param: str, rates_hz: Sequence[int] = (PCM_RATE_HZ,)) -> Format:
    """rates_hz: allowed of audio/pcm. Raises BadInput."""
    if wanted is None:
        return PCM
    if wanted.type == "audio/pcm":
        if wanted.rate is None:
            return PCM
        if wanted.rate not in rates_hz:
            raise BadInput(f"{param}.rate", f"is {wanted.rate}", " or ".join(map(str, rates_hz)))
        return wanted
    if wanted.rate not in (None, G711_RATE_HZ):
        raise BadInput(f"{param}.rate", f"is {wanted.rate}", f"{G711_RATE_HZ}, or leave it out")
    return Format(wanted.type)


PCM = Format("audio/pcm", PCM_RATE_HZ)
