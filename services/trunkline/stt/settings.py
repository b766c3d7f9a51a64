"""What an operator can set for this stage, beside what every service has."""

from trunkline.runtime.settings import CoreSettings


class SttSettings(CoreSettings, frozen=True, kw_only=True):
    """engine_stt: moonshine, scripted, digits or a plugin's name.

    stt_threads: recognitions at a time, 0 for one per core.
    stt_partials_s: how often a caller who speaks on is recognised anew, so that clients see words early; 0 for never.
    stt_script: lines of the scripted engine, separated by |: what each call's first, second … utterance says.
    """

    engine_stt: str = "moonshine"
    stt_threads: int = 0
    stt_partials_s: float = 0.0
    stt_script: str = ""
