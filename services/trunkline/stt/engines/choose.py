"""From the name in the settings to an engine; nothing is imported that wasn't asked for."""

from functools import partial
from importlib.metadata import entry_points

import msgspec

from trunkline.proto.errors import BadSettings
from trunkline.stt.engines.apart import RecogniserApart
from trunkline.stt.engines.digits import Digits
from trunkline.stt.engines.scripted import Scripted
from trunkline.stt.engines.seam import Recogniser
from trunkline.stt.vad import Loudness, Silero, VoiceDetector

GROUP = "trunkline.stt_engines"
BUILT_IN = ("digits", "moonshine", "scripted")


class Engine(msgspec.Struct, frozen=True):
    recogniser: Recogniser
    detector: VoiceDetector

    def warm(self) -> None:
        self.detector.warm()
        self.recogniser.warm()


def choose(name: str, script: tuple[str, ...] = (), processes: int = 1) -> Engine:
    """Built-in names come before plugins'. Raises BadSettings naming what is allowed.

    processes: of a plugin that runs in its own.
    """
    if name == "moonshine":
        from trunkline.stt.engines.moonshine import Moonshine

        return Engine(Moonshine(), Silero())
    if name == "digits":
        return Engine(Digits(), Loudness())
    if name == "scripted":
        return Engine(Scripted(script) if script else Scripted(), Loudness())
    plugins = entry_points(group=GROUP)
    if name not in plugins.names:
        allowed = ", ".join([*BUILT_IN, *sorted(plugins.names - set(BUILT_IN))])
        raise BadSettings("TRUNKLINE_ENGINE_STT", f"{name!r} is no engine", allowed)
    recogniser = open_plugin(name)
    if getattr(recogniser, "holds_gil", False):  # a plugin may not tell
        recogniser = RecogniserApart(recogniser, partial(open_plugin, name), processes)
    return Engine(recogniser, Silero())


def open_plugin(name: str) -> Recogniser:
    opened: Recogniser = entry_points(group=GROUP)[name].load()()
    return opened
