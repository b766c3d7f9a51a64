"""The session of a client that wants the words alone: defaults, what a session.update changes, and what is echoed back.

An update merges: what it doesn't name stays. What belongs to agents is refused by name, never passed over.
"""

from collections.abc import Collection
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.gateway.dialects.realtime.offer import Offer
from trunkline.gateway.dialects.realtime.session import SessionPatch
from trunkline.gateway.dialects.realtime.session_audio import (
    INPUT,
    PCM,
    Input,
    InputPatch,
    Transcription,
    TranscriptionPatch,
    merge_input,
    require_default,
)
from trunkline.gateway.dialects.realtime.turn_detection import PARAM as TURN_DETECTION
from trunkline.gateway.dialects.realtime.turn_detection import ServerVad, TurnDetection
from trunkline.gateway.model_names import require_model
from trunkline.gateway.validation import explain_validation
from trunkline.proto.errors import BadInput

KIND: Literal["transcription"] = "transcription"
HAS = "type, audio.input (format, transcription, turn_detection)"


class AudioIn(msgspec.Struct, frozen=True):
    input: Input


class TranscriptionSession(msgspec.Struct, frozen=True, kw_only=True):
    """The whole effective session, as it is echoed."""

    type: Literal["transcription"] = KIND
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    id: str
    include: None = None
    audio: AudioIn

    @property
    def transcription(self) -> Transcription:
        return self.audio.input.transcription or Transcription()


class AudioInPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input: InputPatch | UnsetType | None = UNSET


class TranscriptionSessionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None of a field is its default."""

    type: str | UnsetType = UNSET
    audio: AudioInPatch | UnsetType | None = UNSET
    include: msgspec.Raw | UnsetType = UNSET
    id: str | UnsetType | None = UNSET
    object: str | UnsetType | None = UNSET


class _Kind(msgspec.Struct, frozen=True):
    type: str | None = None


_kinds: msgspec.json.Decoder[_Kind | None] = msgspec.json.Decoder(_Kind | None)
_patches = msgspec.json.Decoder(TranscriptionSessionPatch)


def is_transcription(text: bytes | msgspec.Raw | None) -> bool:
    """A session in a client's own JSON, or none, is of this kind. What can't be read is of no kind."""
    try:
        kind = None if text is None else _kinds.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return kind is not None and kind.type == KIND


def read_transcription_patch(text: bytes | msgspec.Raw) -> TranscriptionSessionPatch:
    """A session in a client's own JSON. Raises BadInput, its param spelt as the client spells it."""
    try:
        kind = _kinds.decode(text)
        if kind is not None and kind.type not in (None, KIND):
            problem = f"is {kind.type[:80]!r}, and this is a transcription session"
            allowed = f"{KIND}; a speech-to-speech session has a connection of its own, without intent"
            raise BadInput("session.type", problem, allowed)
        return _patches.decode(text)
    except msgspec.ValidationError as error:
        raise _explain(error) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadInput("session", "is not JSON", "a JSON object", code="invalid_json") from error


def _explain(error: msgspec.ValidationError) -> BadInput:
    explained = explain_validation(error, "session")
    name = explained.param.removeprefix("session.")
    if name in SessionPatch.__struct_fields__ or name == "audio.output":
        problem = "belongs to a speech-to-speech session: here nobody answers"
        return BadInput(explained.param, problem, HAS, code="not_supported")
    return explained


def new_transcription_session(session_id: str) -> TranscriptionSession:
    return TranscriptionSession(id=session_id, audio=AudioIn(_mute(Input(PCM, Transcription(), ServerVad()))))


def merge_transcription(
    session: TranscriptionSession,
    patch: TranscriptionSessionPatch,
    models: Collection[str],
    languages: tuple[str, ...] = (),
) -> TranscriptionSession:
    """models: names that mean the recogniser. languages: of it, none if it doesn't tell. Raises BadInput; then nothing
    has changed."""
    if patch.type is UNSET:
        raise BadInput("session.type", "is missing", KIND, code="missing_required_parameter")
    require_default("session.include", patch.include, None, [])
    for name in ("id", "object"):
        given, own = getattr(patch, name), getattr(session, name)
        if given and given != own:
            raise BadInput(f"session.{name}", "can't be changed", f"{own}, or leave it out")
    if not patch.audio:
        return session
    merged = merge_input(session.audio.input, patch.audio.input, Offer(languages=languages))
    if merged.transcription is None:
        raise BadInput(f"{INPUT}.transcription", "is null", "an object: the words are all that this session has")
    if merged.transcription.model:  # else whatever there is
        require_model(merged.transcription.model, models, f"{INPUT}.transcription.model")
    return msgspec.structs.replace(session, audio=AudioIn(_mute(merged)))


def naming(model: str) -> TranscriptionSessionPatch:
    """A session that names it, and nothing else."""
    return TranscriptionSessionPatch(KIND, AudioInPatch(InputPatch(transcription=TranscriptionPatch(model=model))))


def _mute(audio: Input) -> Input:
    """Whatever a client says of responses, there are none, and the echo says so."""
    detection: TurnDetection | None = audio.turn_detection
    if detection is None:
        return audio
    if isinstance(detection, ServerVad) and detection.idle_timeout_ms is not None:
        problem = "asks for a response to silence, and here nobody answers"
        raise BadInput(f"{TURN_DETECTION}.idle_timeout_ms", problem, "null, or leave it out", code="not_supported")
    quiet = msgspec.structs.replace(detection, create_response=False, interrupt_response=False)
    return msgspec.structs.replace(audio, turn_detection=quiet)
