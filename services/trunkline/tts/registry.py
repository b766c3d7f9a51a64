"""Which synthesisers there are: those of this package, and plugins by the entry point group.

A plugin's entry point names a function that takes the TtsSettings and returns a Synthesiser.
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points

from trunkline.proto.errors import BadSettings
from trunkline.runtime.settings import variable
from trunkline.tts.engines.apart import SynthesiserApart
from trunkline.tts.engines.port import Synthesiser
from trunkline.tts.settings import TtsSettings, threads_of

GROUP = "trunkline.tts_engines"
Opener = Callable[[TtsSettings], Synthesiser]


def _piper(settings: TtsSettings) -> Synthesiser:
    from trunkline.tts.engines.piper import open_piper

    return open_piper(settings.piper_model)


def _tone(settings: TtsSettings) -> Synthesiser:
    from trunkline.tts.engines.tone import ToneSynthesiser

    return ToneSynthesiser(
        character_ms=settings.tone_character_ms,
        segment_ms=settings.tone_segment_ms,
        work_percent=settings.tone_work_percent,
    )


_BUILT_IN: dict[str, Opener] = {"piper": _piper, "tone": _tone}


def open_plugin(settings: TtsSettings) -> Synthesiser:
    (point,) = entry_points(group=GROUP, name=settings.engine_tts)
    opener: Opener = point.load()
    return opener(settings)


def names() -> list[str]:
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def open_engine(settings: TtsSettings) -> Synthesiser:
    """Raises BadSettings for an unknown name, or an engine whose package or voice isn't there."""
    name = settings.engine_tts
    if name in _BUILT_IN:
        return _BUILT_IN[name](settings)
    if name in entry_points(group=GROUP).names:
        engine = open_plugin(settings)
        if getattr(engine, "holds_gil", False):  # a plugin may not tell
            return SynthesiserApart(engine, partial(open_plugin, settings), threads_of(settings))
        return engine
    raise BadSettings(variable("engine_tts"), f"unknown engine {name!r}", ", ".join(names()))
