"""Settings of the text-to-speech service, beside the core ones."""

import math

from trunkline.proto.errors import BadSettings
from trunkline.runtime.capacity import cores_at_hand
from trunkline.runtime.settings import CoreSettings, variable


class TtsSettings(CoreSettings, frozen=True, kw_only=True):
    """engine_tts: one of `registry.names()`. tts_threads: syntheses at a time, 0 for one per core.

    piper_model: path of a Piper voice (NAME.onnx with NAME.onnx.json beside it), empty for the packaged one.
    tone_character_ms: of tone per character. tone_segment_ms: length of every segment instead, 0 for by characters.
    tone_work_percent: how long making a tone takes (idly), of its length; 0 for no time.
    """

    engine_tts: str = "piper"
    tts_threads: int = 0
    piper_model: str = ""
    tone_character_ms: int = 60
    tone_segment_ms: int = 0
    tone_work_percent: int = 0


def threads_of(settings: TtsSettings) -> int:
    """Syntheses at a time."""
    return settings.tts_threads or math.ceil(cores_at_hand())


THREADS_LIMIT = 64
TONE_LIMIT_MS = 600_000


def check(settings: TtsSettings) -> None:
    """Raises BadSettings for a number out of its range."""
    for field, limit in (
        ("tts_threads", THREADS_LIMIT),
        ("tone_character_ms", 1_000),
        ("tone_segment_ms", TONE_LIMIT_MS),
        ("tone_work_percent", 1_000),
    ):
        value = getattr(settings, field)
        if not 0 <= value <= limit:
            raise BadSettings(variable(field), str(value), f"0 to {limit}")
