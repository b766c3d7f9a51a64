"""How the end of a caller's turn is found, as a session has it: its two kinds, what an update changes of them, and
what it means for STT. Pure.

`server_vad` goes by silence. `semantic_vad` goes by words: those that look finished end the turn after a short silence,
others after the longest that its eagerness allows.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.gateway.turns import Policy
from trunkline.proto.errors import BadInput
from trunkline.proto.speech import TurnRules

PARAM = "session.audio.input.turn_detection"
UNFINISHED_EXTRA_MS = 900  # with server_vad, words that look unfinished wait this much longer than finished ones
PATIENCE_MS = {"low": (1_000, 8_000), "medium": (600, 4_000), "high": (300, 2_000)}
"""By eagerness: the silence after words that look finished, and after others: the vendor's longest waits."""
RANGES: dict[str, tuple[float, float]] = {
    "threshold": (0.0, 1.0),
    "prefix_padding_ms": (0, 5_000),
    "silence_duration_ms": (100, 10_000),
    "idle_timeout_ms": (5_000, 30_000),
}

Eagerness = Literal["low", "medium", "high", "auto"]


class ServerVad(msgspec.Struct, frozen=True, tag_field="type", tag="server_vad"):
    """idle_timeout_ms: None for never, or as the agent has it."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None


class SemanticVad(msgspec.Struct, frozen=True, tag_field="type", tag="semantic_vad"):
    """eagerness: auto is medium."""

    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = ServerVad | SemanticVad
KINDS: dict[str, type[ServerVad] | type[SemanticVad]] = {"server_vad": ServerVad, "semantic_vad": SemanticVad}


class TurnDetectionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None of a field is its default."""

    type: str | UnsetType = UNSET
    threshold: float | UnsetType | None = UNSET
    prefix_padding_ms: int | UnsetType | None = UNSET
    silence_duration_ms: int | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET
    idle_timeout_ms: int | UnsetType | None = UNSET
    eagerness: Eagerness | UnsetType | None = UNSET
    model_version: str | UnsetType | None = UNSET


def merge_turn_detection(
    old: TurnDetection | None, patch: TurnDetectionPatch | UnsetType | None
) -> TurnDetection | None:
    """Another kind begins with its own defaults. Raises BadInput."""
    if patch is UNSET:
        return old
    if patch is None:
        return None
    kind = _kind(old, patch)
    fresh = kind()
    given: dict[str, object] = {}
    for name in TurnDetectionPatch.__struct_fields__:
        value = getattr(patch, name)
        if name == "type" or value is UNSET:
            continue
        if name in kind.__struct_fields__:
            given[name] = getattr(fresh, name) if value is None else _in_range(name, value)
        elif value is not None:
            allowed = ", ".join(kind.__struct_fields__)
            tag = kind.__struct_config__.tag
            raise BadInput(f"{PARAM}.{name}", f"is no field of {tag} here", allowed, code="not_supported")
    return msgspec.structs.replace(old if isinstance(old, kind) else fresh, **given)


def policy_of(detection: TurnDetection | None) -> Policy:
    if detection is None:
        return Policy(automatic=False, respond=False, interrupt=False)
    return Policy(True, detection.create_response, detection.interrupt_response)


def rules_of(detection: TurnDetection | None) -> TurnRules:
    match detection:
        case None:
            return TurnRules(automatic=False)
        case ServerVad(silence_duration_ms=silence_ms):
            return TurnRules(
                threshold=detection.threshold,
                prefix_padding_ms=detection.prefix_padding_ms,
                silence_ms=silence_ms,
                unfinished_ms=silence_ms + UNFINISHED_EXTRA_MS,
            )
        case SemanticVad(eagerness=eagerness):
            silence_ms, unfinished_ms = PATIENCE_MS["medium" if eagerness == "auto" else eagerness]
            return TurnRules(silence_ms=silence_ms, unfinished_ms=unfinished_ms)


def _kind(old: TurnDetection | None, patch: TurnDetectionPatch) -> type[ServerVad] | type[SemanticVad]:
    if patch.type is UNSET:
        if old is None:
            raise BadInput(f"{PARAM}.type", "is missing", ", ".join(KINDS), code="missing_required_parameter")
        return type(old)
    if patch.type not in KINDS:
        raise BadInput(f"{PARAM}.type", f"is {patch.type[:80]!r}", f"{', '.join(KINDS)}; null for push to talk")
    return KINDS[patch.type]


def _in_range(name: str, value: object) -> object:
    if name in RANGES and isinstance(value, int | float):
        least, most = RANGES[name]
        if not least <= value <= most:
            raise BadInput(f"{PARAM}.{name}", f"is {value}", f"{least} to {most}")
    return value
