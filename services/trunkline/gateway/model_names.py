"""The vendor's names of models, by API; each means the engine that this installation runs. Pure.

Rule: a name that means nothing here is refused, never taken for something else.
"""

import re
from collections.abc import Collection, Mapping

from trunkline.proto.errors import BadInput

CALL_MODELS = (
    "gpt-realtime",
    "gpt-realtime-1.5",
    "gpt-realtime-2",
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-2025-08-28",
    "gpt-realtime-mini",
    "gpt-realtime-mini-2025-10-06",
    "gpt-realtime-mini-2025-12-15",
    "gpt-4o-realtime-preview",
    "gpt-4o-realtime-preview-2024-10-01",
    "gpt-4o-realtime-preview-2024-12-17",
    "gpt-4o-realtime-preview-2025-06-03",
    "gpt-4o-mini-realtime-preview",
    "gpt-4o-mini-realtime-preview-2024-12-17",
    "gpt-audio-1.5",
    "gpt-audio-mini",
    "gpt-audio-mini-2025-10-06",
    "gpt-audio-mini-2025-12-15",
)
"""Of Realtime calls; they mean the default agent."""

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


def with_aliases(models: Collection[str], aliases: Mapping[str, str]) -> tuple[str, ...]:
    """aliases: of the installation; those of one of the models are names of it, too."""
    return *models, *(alias for alias, model in aliases.items() if model in models)


def require_model(model: str, known: Collection[str], param: str = "model") -> None:
    """Raises BadInput."""
    if model not in known:
        raise BadInput(param, f"the model {model[:80]!r} does not exist", ", ".join(known), code="model_not_found")
