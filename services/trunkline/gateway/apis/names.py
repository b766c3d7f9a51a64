"""The vendor's names of models, by API; each means the engine that this installation runs. Pure.

Rule: a name that means nothing here is refused, never taken for something else.
"""

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

SPEECH_MODELS = (
    "gpt-4o-mini-tts",
    "gpt-4o-mini-tts-2025-03-20",
    "gpt-4o-mini-tts-2025-12-15",
    "tts-1",
    "tts-1-1106",
    "tts-1-hd",
    "tts-1-hd-1106",
)


def require_model(model: str, known: Collection[str], aliases: Mapping[str, str]) -> None:
    """known: of this API. aliases: of the installation, to one of them. Raises BadInput."""
    if model not in known and aliases.get(model) not in known:
        allowed = f"{', '.join(known)}, or an alias of one"
        raise BadInput("model", f"the model {model[:80]!r} does not exist", allowed, code="model_not_found")
