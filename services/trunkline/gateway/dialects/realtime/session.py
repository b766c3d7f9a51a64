"""The session of a Realtime client: defaults, what a session.update changes, and what is echoed back.

An update merges: what it doesn't name stays. What can't be honoured is refused by name, never silently ignored.
"""

from collections.abc import Collection
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.gateway.dialects.realtime.session_tools import (
    FunctionTool,
    ToolChoice,
    choice_of,
    equip_of,
    require_choice,
    tools_of,
)
from trunkline.gateway.turns import Policy
from trunkline.gateway.wishes import Wishes
from trunkline.proto.errors import BadInput
from trunkline.proto.speech import TurnRules

FormatType = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
Modality = Literal["audio", "text"]
PCM_RATE_HZ = 24_000
G711_RATE_HZ = 8_000
UNFINISHED_EXTRA_MS = 900  # words that look unfinished wait this much longer than finished ones
VENDOR_VOICES = frozenset(
    ("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar")
)
"""Names that stock clients send; they mean the agent's own voice."""


class Format(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """rate: Hz, of audio/pcm alone."""

    type: FormatType
    rate: int | None = None

    @property
    def rate_hz(self) -> int:
        return PCM_RATE_HZ if self.type == "audio/pcm" else G711_RATE_HZ


class Transcription(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Every utterance is transcribed by the STT engine of the installation; these are kept and echoed."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class ServerVad(msgspec.Struct, frozen=True, tag_field="type", tag="server_vad"):
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    create_response: bool = True
    interrupt_response: bool = True


class Input(msgspec.Struct, frozen=True):
    format: Format
    transcription: Transcription | None
    turn_detection: ServerVad | None


class Output(msgspec.Struct, frozen=True):
    """voice: empty until a client or the agent names one."""

    format: Format
    voice: str
    speed: float


class Audio(msgspec.Struct, frozen=True):
    input: Input
    output: Output


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The whole effective session, as it is echoed."""

    type: Literal["realtime"] = "realtime"
    object: Literal["realtime.session"] = "realtime.session"
    id: str
    model: str
    output_modalities: list[Modality]
    instructions: str
    tools: list[FunctionTool] = []
    tool_choice: ToolChoice = "auto"
    max_output_tokens: Literal["inf"] = "inf"
    truncation: Literal["auto"] = "auto"
    audio: Audio


class TurnDetectionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str | UnsetType = UNSET
    threshold: float | UnsetType = UNSET
    prefix_padding_ms: int | UnsetType = UNSET
    silence_duration_ms: int | UnsetType = UNSET
    create_response: bool | UnsetType = UNSET
    interrupt_response: bool | UnsetType = UNSET
    idle_timeout_ms: int | UnsetType | None = UNSET
    eagerness: str | UnsetType = UNSET


class InputPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Format | UnsetType = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    noise_reduction: msgspec.Raw | UnsetType = UNSET
    turn_detection: TurnDetectionPatch | UnsetType | None = UNSET


class OutputPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Format | UnsetType = UNSET
    voice: str | UnsetType | None = UNSET
    speed: float | UnsetType = UNSET


class AudioPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input: InputPatch | UnsetType = UNSET
    output: OutputPatch | UnsetType = UNSET


class SessionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the fields whose type is Raw, `tools` and `tool_choice` are read apart; the others are known to the protocol
    and accepted at their default alone: see DEFAULTS_ONLY."""

    type: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    output_modalities: list[Modality] | UnsetType = UNSET
    instructions: str | UnsetType | None = UNSET
    audio: AudioPatch | UnsetType = UNSET
    tools: msgspec.Raw | UnsetType = UNSET
    tool_choice: msgspec.Raw | UnsetType = UNSET
    parallel_tool_calls: msgspec.Raw | UnsetType = UNSET
    reasoning: msgspec.Raw | UnsetType = UNSET
    max_output_tokens: msgspec.Raw | UnsetType = UNSET
    tracing: msgspec.Raw | UnsetType = UNSET
    truncation: msgspec.Raw | UnsetType = UNSET
    prompt: msgspec.Raw | UnsetType = UNSET
    include: msgspec.Raw | UnsetType = UNSET
    id: msgspec.Raw | UnsetType = UNSET
    object: msgspec.Raw | UnsetType = UNSET


DEFAULTS_ONLY: dict[str, tuple[object, ...]] = {
    "parallel_tool_calls": (True, None),
    "reasoning": (None,),
    "max_output_tokens": ("inf", None),
    "tracing": ("auto", None),  # every call is traced
    "truncation": ("auto", None),
    "prompt": (None,),
    "include": ([], None),
}


def new_session(session_id: str, model: str, instructions: str, voice: str) -> Session:
    pcm = Format("audio/pcm", PCM_RATE_HZ)
    return Session(
        id=session_id,
        model=model,
        output_modalities=["audio"],
        instructions=instructions,
        audio=Audio(Input(pcm, None, ServerVad()), Output(pcm, voice, 1.0)),
    )


def merge(session: Session, patch: SessionPatch, reserved: Collection[str] = ()) -> Session:
    """reserved: names of the agents' own tools. Raises BadInput, its param spelt as the client spells it; then nothing
    has changed."""
    if patch.type not in (UNSET, "realtime"):
        raise BadInput("session.type", f"{patch.type!r} is not supported yet", "realtime", code="not_supported")
    _refuse_what_is_not_served(patch)
    audio = session.audio
    if patch.audio is not UNSET:
        audio = Audio(_merge_input(audio.input, patch.audio.input), _merge_output(audio.output, patch.audio.output))
    modalities = session.output_modalities
    if patch.output_modalities is not UNSET:
        if patch.output_modalities not in (["audio"], ["text"]):
            raise BadInput("session.output_modalities", f"is {patch.output_modalities}", '["audio"] or ["text"]')
        modalities = patch.output_modalities
    tools = session.tools if patch.tools is UNSET else tools_of(patch.tools, reserved)
    choice = session.tool_choice if patch.tool_choice is UNSET else choice_of(patch.tool_choice)
    require_choice(choice, tools, reserved)
    return msgspec.structs.replace(
        session,
        tools=tools,
        tool_choice=choice,
        model=session.model if patch.model is UNSET else patch.model,
        output_modalities=modalities,
        instructions=session.instructions if patch.instructions is UNSET else patch.instructions or "",
        audio=audio,
    )


def wishes(session: Session, own_instructions: str, own_voice: str) -> Wishes:
    """own_*: the agent's; what a session repeats of them is no wish."""
    vad = session.audio.input.turn_detection
    policy = Policy(
        vad is not None, vad is not None and vad.create_response, vad is not None and vad.interrupt_response
    )
    voice = session.audio.output.voice
    return Wishes(
        rules=_rules(vad),
        policy=policy,
        instructions="" if session.instructions == own_instructions else session.instructions,
        voice="" if voice == own_voice or voice in VENDOR_VOICES else voice,
        speed=session.audio.output.speed,
        audible=session.output_modalities == ["audio"],
        equip=equip_of(session.tools, session.tool_choice),
    )


def _rules(vad: ServerVad | None) -> TurnRules:
    if vad is None:
        return TurnRules(automatic=False)
    return TurnRules(
        threshold=vad.threshold,
        prefix_padding_ms=vad.prefix_padding_ms,
        silence_ms=vad.silence_duration_ms,
        unfinished_ms=vad.silence_duration_ms + UNFINISHED_EXTRA_MS,
    )


def _refuse_what_is_not_served(patch: SessionPatch) -> None:
    for name, allowed in DEFAULTS_ONLY.items():
        raw = getattr(patch, name)
        if raw is UNSET:
            continue
        value: object = msgspec.json.decode(raw)
        if value not in allowed:
            words = msgspec.json.encode(allowed[0]).decode()
            raise BadInput(f"session.{name}", "is not supported yet", f"{words} or leave it out", code="not_supported")


def _merge_input(old: Input, patch: InputPatch | UnsetType) -> Input:
    if patch is UNSET:
        return old
    if patch.noise_reduction is not UNSET and msgspec.json.decode(patch.noise_reduction) is not None:
        param = "session.audio.input.noise_reduction"
        raise BadInput(param, "is not supported yet", "null or leave it out", code="not_supported")
    return Input(
        format=old.format if patch.format is UNSET else _format(patch.format, "session.audio.input.format"),
        transcription=old.transcription if patch.transcription is UNSET else patch.transcription,
        turn_detection=_merge_vad(old.turn_detection, patch.turn_detection),
    )


def _merge_output(old: Output, patch: OutputPatch | UnsetType) -> Output:
    if patch is UNSET:
        return old
    speed = old.speed if patch.speed is UNSET else patch.speed
    _in_range("session.audio.output.speed", speed, 0.25, 1.5)
    return Output(
        format=old.format if patch.format is UNSET else _format(patch.format, "session.audio.output.format"),
        voice=old.voice if patch.voice is UNSET or patch.voice is None else patch.voice,
        speed=speed,
    )


def _format(wanted: Format, param: str) -> Format:
    if wanted.type == "audio/pcm":
        if wanted.rate not in (None, PCM_RATE_HZ):
            raise BadInput(f"{param}.rate", f"is {wanted.rate}", f"{PCM_RATE_HZ}")
        return Format("audio/pcm", PCM_RATE_HZ)
    if wanted.rate not in (None, G711_RATE_HZ):
        raise BadInput(f"{param}.rate", f"is {wanted.rate}", f"{G711_RATE_HZ}, or leave it out")
    return Format(wanted.type)


def _merge_vad(old: ServerVad | None, patch: TurnDetectionPatch | UnsetType | None) -> ServerVad | None:
    param = "session.audio.input.turn_detection"
    if patch is UNSET:
        return old
    if patch is None:
        return None
    if patch.type not in (UNSET, "server_vad"):
        raise BadInput(f"{param}.type", f"{patch.type!r} is not supported yet", "server_vad", code="not_supported")
    for name in ("eagerness", "idle_timeout_ms"):
        if getattr(patch, name) not in (UNSET, None):
            raise BadInput(f"{param}.{name}", "is not supported yet", "leave it out", code="not_supported")
    given = {name: getattr(patch, name) for name in ServerVad.__struct_fields__ if getattr(patch, name) is not UNSET}
    vad = msgspec.structs.replace(old or ServerVad(), **given)
    _in_range(f"{param}.threshold", vad.threshold, 0.0, 1.0)
    _in_range(f"{param}.prefix_padding_ms", vad.prefix_padding_ms, 0, 5_000)
    _in_range(f"{param}.silence_duration_ms", vad.silence_duration_ms, 100, 10_000)
    return vad


def _in_range(param: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise BadInput(param, f"is {value}", f"{least} to {most}")
