"""The session of a Realtime client: defaults, what a session.update changes, and what is echoed back.

An update merges: what it doesn't name stays. What can't be honoured is refused by name, never silently ignored.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.gateway.dialects.realtime.offer import ANYTHING, Offer
from trunkline.gateway.dialects.realtime.session_audio import Audio, AudioPatch, merge_audio, new_audio, require_default
from trunkline.gateway.dialects.realtime.session_tools import (
    FunctionTool,
    ToolChoice,
    choice_of,
    equip_of,
    require_choice,
    tools_of,
)
from trunkline.gateway.dialects.realtime.session_tracing import TracingChoice, require_traceable
from trunkline.gateway.dialects.realtime.turn_detection import ServerVad, policy_of, rules_of
from trunkline.gateway.validation import read_json, require_size
from trunkline.gateway.wishes import Wishes
from trunkline.proto.errors import BadInput
from trunkline.proto.response import Equip

Modality = Literal["audio", "text"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]
Limit = int | Literal["inf"]
OUTPUT_TOKENS_LIMIT = 4_096
INSTRUCTIONS_LIMIT_BYTES = 256 * 1024  # they travel with each order to respond, beside its context


class Reasoning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """effort: None for the agent's own."""

    effort: Effort | None = None


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
    parallel_tool_calls: bool = True
    reasoning: Reasoning | None = None
    max_output_tokens: Limit = "inf"
    truncation: Literal["auto"] = "auto"
    tracing: TracingChoice = None
    prompt: None = None
    include: None = None
    audio: Audio


class SessionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the fields whose type is Raw, `tools` and `tool_choice` are read apart; the others are known to the protocol
    and accepted at their default alone. None of a field is its default."""

    type: str | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    output_modalities: list[Modality] | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    audio: AudioPatch | UnsetType | None = UNSET
    tools: msgspec.Raw | UnsetType = UNSET
    tool_choice: msgspec.Raw | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET
    max_output_tokens: Limit | UnsetType | None = UNSET
    tracing: TracingChoice | UnsetType = UNSET
    truncation: msgspec.Raw | UnsetType = UNSET
    prompt: msgspec.Raw | UnsetType = UNSET
    include: msgspec.Raw | UnsetType = UNSET
    id: str | UnsetType | None = UNSET
    object: str | UnsetType | None = UNSET


def read_patch(text: bytes | msgspec.Raw) -> SessionPatch | None:
    """A session in a client's own JSON; None for null. Raises BadInput."""
    return read_json(text, _patches, "session")


_patches: msgspec.json.Decoder[SessionPatch | None] = msgspec.json.Decoder(SessionPatch | None)


def new_session(session_id: str, model: str, instructions: str, voice: str) -> Session:
    return Session(
        id=session_id, model=model, output_modalities=["audio"], instructions=instructions, audio=new_audio(voice)
    )


def merge(session: Session, patch: SessionPatch, offer: Offer = ANYTHING) -> Session:
    """Raises BadInput, its param spelt as the client spells it; then nothing has changed."""
    _require_kind(session, patch)
    require_default("session.truncation", patch.truncation, "auto", None)
    require_default("session.prompt", patch.prompt, None)
    require_default("session.include", patch.include, None, [])
    model = patch.model or session.model
    if patch.model:
        offer.require_model(patch.model)
    if patch.instructions:
        require_size("session.instructions", patch.instructions, INSTRUCTIONS_LIMIT_BYTES)
    if patch.tracing is not UNSET:
        require_traceable(patch.tracing)
    tools = session.tools if patch.tools is UNSET else tools_of(patch.tools, offer.tools)
    choice = session.tool_choice if patch.tool_choice is UNSET else choice_of(patch.tool_choice)
    require_choice(choice, tools, offer.tools)
    parallel = patch.parallel_tool_calls
    return msgspec.structs.replace(
        session,
        model=model,
        output_modalities=_modalities(session, patch),
        instructions=session.instructions if patch.instructions is UNSET else patch.instructions or offer.instructions,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=session.parallel_tool_calls if parallel is UNSET else parallel is not False,
        reasoning=session.reasoning if patch.reasoning is UNSET else patch.reasoning,
        max_output_tokens=_output_tokens(session, patch),
        tracing=session.tracing if patch.tracing is UNSET else patch.tracing,
        audio=merge_audio(session.audio, patch.audio, offer),
    )


def wishes(session: Session, offer: Offer) -> Wishes:
    """What a session repeats of the agent's own is no wish."""
    detection, output = session.audio.input.turn_detection, session.audio.output
    idle_ms = detection.idle_timeout_ms if isinstance(detection, ServerVad) else None
    return Wishes(
        rules=rules_of(detection),
        policy=policy_of(detection),
        instructions="" if session.instructions == offer.instructions else session.instructions,
        voice=offer.voice_of(output.voice),
        speed=output.speed,
        audible=session.output_modalities == ["audio"],
        equip=_equip(session),
        agent=offer.agent_of(session.model),
        idle_s=(idle_ms or 0) / 1000,
    )


def _equip(session: Session) -> Equip:
    limit, reasoning = session.max_output_tokens, session.reasoning
    return msgspec.structs.replace(
        equip_of(session.tools, session.tool_choice),
        parallel=session.parallel_tool_calls,
        max_output_tokens=0 if limit == "inf" else limit,
        effort=(reasoning.effort or "") if reasoning is not None else "",
    )


def _require_kind(session: Session, patch: SessionPatch) -> None:
    if patch.type is UNSET:
        raise BadInput("session.type", "is missing", "realtime", code="missing_required_parameter")
    if patch.type != session.type:
        allowed = "realtime; a transcription session has a WebSocket of its own, with ?intent=transcription"
        raise BadInput("session.type", f"is {patch.type[:80]!r}", allowed, code="not_supported")
    for name in ("id", "object"):
        given, own = getattr(patch, name), getattr(session, name)
        if given and given != own:
            raise BadInput(f"session.{name}", "can't be changed", f"{own}, or leave it out")


def _modalities(session: Session, patch: SessionPatch) -> list[Modality]:
    wanted = patch.output_modalities
    if wanted is UNSET:
        return session.output_modalities
    if wanted not in (["audio"], ["text"], None):
        raise BadInput("session.output_modalities", f"is {wanted}", '["audio"] or ["text"]')
    return wanted or ["audio"]


def _output_tokens(session: Session, patch: SessionPatch) -> Limit:
    wanted = patch.max_output_tokens
    if wanted is UNSET:
        return session.max_output_tokens
    if isinstance(wanted, int) and not 1 <= wanted <= OUTPUT_TOKENS_LIMIT:
        raise BadInput("session.max_output_tokens", f"is {wanted}", f'1 to {OUTPUT_TOKENS_LIMIT}, or "inf"')
    return wanted or "inf"
