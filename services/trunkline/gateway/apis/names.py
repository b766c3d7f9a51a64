"""The vendor's names of models, by API; each means the engine that this installation runs. Pure.

Rule: a name that means nothing here is refused, never taken for something else.
"""

import re
from collections.abc import Collection, Mapping

from trunkline.proto.errors import BadInput

TRANSCRIPTION_MODELS = (
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-03-20",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe",
    "gpt-transcribe",
    "whisper-1",
)
"""Without the vendor's model that tells speakers apart, for nothing here does."""

LIVE_TRANSCRIPTION_MODELS = ("gpt-live-transcribe", "gpt-realtime-whisper")
"""Of transcription sessions alone."""

SPEECH_MODELS = (
    "gpt-4o-mini-tts",
    "gpt-4o-mini-tts-2025-03-20",
    "gpt-4o-mini-tts-2025-12-15",
    "tts-1",
    "tts-1-1106",
    "tts-1-hd",
    "tts-1-hd-1106",
)

TEXT_MODELS = (
    "chatgpt-4o-latest",
    "codex-mini-latest",
    "gpt-3.5-turbo",
    "gpt-4",
    "gpt-4-turbo",
    "gpt-4-turbo-preview",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-5",
    "gpt-5-chat-latest",
    "gpt-5-codex",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5-pro",
    "gpt-5.1",
    "gpt-5.1-chat-latest",
    "gpt-5.1-codex",
    "gpt-5.1-codex-max",
    "gpt-5.1-mini",
    "gpt-5.2",
    "gpt-5.2-chat-latest",
    "gpt-5.2-pro",
    "gpt-5.3-chat-latest",
    "gpt-5.3-codex",
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-5.4-nano",
    "gpt-5.4-pro",
    "gpt-5.5",
    "gpt-5.5-pro",
    "gpt-5.6",
    "gpt-5.6-luna",
    "gpt-5.6-sol",
    "gpt-5.6-terra",
    "gpt-6-astra",
    "gpt-6-luna",
    "gpt-6-sol",
    "gpt-6.1-sol",
    "gpt-6.1-terra",
    "gpt-6.2-astra",
    "gpt-6.2-sol",
    "o1",
    "o1-pro",
    "o3",
    "o3-mini",
    "o3-pro",
    "o4-mini",
)
"""Of the Responses API, without those for sound, for searching and for using a computer. One with a day behind it
(`gpt-5.5-2026-04-23`) means the same."""
_DAY = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def is_text_model(name: str) -> bool:
    return _DAY.sub("", name) in TEXT_MODELS


def require_model(model: str, known: Collection[str], aliases: Mapping[str, str]) -> None:
    """known: of this API. aliases: of the installation, to one of them. Raises BadInput."""
    if model not in known and aliases.get(model) not in known:
        allowed = f"{', '.join(known)}, or an alias of one"
        raise BadInput("model", f"the model {model[:80]!r} does not exist", allowed, code="model_not_found")


def session_models(aliases: Mapping[str, str]) -> tuple[str, ...]:
    """All that a transcription session may be asked for, aliases of the installation among them."""
    known = *TRANSCRIPTION_MODELS, *LIVE_TRANSCRIPTION_MODELS
    return *known, *(alias for alias, model in aliases.items() if model in known)
