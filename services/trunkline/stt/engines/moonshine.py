"""Moonshine tiny-en, its two graphs run directly on onnxruntime.

One session per graph, shared by all threads, each run on one thread: more threads per run cost more CPU than they
save. Greedy decoding. Files and token table: the wheel of moonshine-voice 0.1.0, assets/tiny-en.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray

from trunkline.audio.pcm import Floats
from trunkline.proto.errors import BadSettings
from trunkline.stt.engines.graph import open_session
from trunkline.stt.engines.seam import RATE_HZ

LAYERS, HEADS, HEAD_SIZE = 6, 8, 36
START, END = 1, 2
TAIL_SAMPLES = RATE_HZ // 5  # zeros after the last word: without them a word at the very end comes out garbled
SHORTEST_SAMPLES = RATE_HZ // 10  # the encoder's strides need a few frames
FRAME_SAMPLES = 64 * 3 * 2  # the encoder's strides: the decoder reads every so manieth value of a mask, one a frame
TOKENS_PER_S, TOKENS_SPARE = 6.5, 6  # faster than anybody speaks; stops a decoder that repeats itself

_DECODER_KEYS = [f"past_key_values.{layer}.decoder.{kind}" for layer in range(LAYERS) for kind in ("key", "value")]
_ENCODER_KEYS = [f"past_key_values.{layer}.encoder.{kind}" for layer in range(LAYERS) for kind in ("key", "value")]


class Moonshine:
    name = "moonshine"
    languages = ("en",)

    def __init__(self) -> None:
        self._encoder: onnxruntime.InferenceSession | None = None
        self._decoder: onnxruntime.InferenceSession | None = None
        self._tokens: list[bytes] = []
        self._outputs: list[str] = []

    def warm(self) -> None:
        """Raises BadSettings when the model isn't installed."""
        folder = _folder()
        self._tokens = read_tokens((folder / "tokenizer.bin").read_bytes())
        self._encoder = open_session(folder / "encoder_model.ort")
        self._decoder = open_session(folder / "decoder_model_merged.ort")
        self._outputs = [output.name.replace("present", "past_key_values") for output in self._decoder.get_outputs()]
        self.recognise(np.zeros(RATE_HZ, dtype=np.float32), 0)

    def recognise(self, pcm: Floats, utterance: int) -> str:
        if len(pcm) < SHORTEST_SAMPLES:
            return ""
        return spell([self._tokens[token] for token in self._decode(self._encode(pcm), len(pcm))])

    def _encode(self, pcm: Floats) -> NDArray[np.float32]:
        """[1, frames, 288]."""
        assert self._encoder is not None, "warm() comes first"
        values = np.pad(pcm, (0, TAIL_SAMPLES))[np.newaxis]
        mask = np.ones(values.shape, dtype=np.int64)
        states: NDArray[np.float32] = self._encoder.run(None, {"input_values": values, "attention_mask": mask})[0]
        return states

    def _decode(self, states: NDArray[np.float32], samples: int) -> list[int]:
        """Token by token; the decoder's keys and values grow, the encoder's are those of the first run."""
        assert self._decoder is not None, "warm() comes first"
        frames = states.shape[1]
        mask = np.ones((1, frames * FRAME_SAMPLES), dtype=np.int64)
        fixed = {"encoder_hidden_states": states, "encoder_attention_mask": mask}
        past = {key: np.zeros((1, HEADS, 0, HEAD_SIZE), dtype=np.float32) for key in _DECODER_KEYS}
        past |= {key: np.zeros((1, HEADS, frames, HEAD_SIZE), dtype=np.float32) for key in _ENCODER_KEYS}
        tokens: list[int] = []
        for step in range(int(samples / RATE_HZ * TOKENS_PER_S) + TOKENS_SPARE):
            last = np.array([[tokens[-1] if tokens else START]], dtype=np.int64)
            given = {**fixed, **past, "input_ids": last, "use_cache_branch": np.array([step > 0])}
            out = dict(zip(self._outputs, self._decoder.run(None, given), strict=True))
            token = int(out["logits"][0, -1].argmax())
            if token == END:
                break
            tokens.append(token)
            past |= {key: out[key] for key in (_DECODER_KEYS if step else _DECODER_KEYS + _ENCODER_KEYS)}
        return tokens


def read_tokens(table: bytes) -> list[bytes]:
    """Per token its length (one byte; two, b + 128 * c - 128, from 128 on), then its UTF-8 bytes."""
    tokens: list[bytes] = []
    at = 0
    while at < len(table):
        length, at = table[at], at + 1
        if length >= 128:
            length, at = table[at] * 128 + length - 128, at + 1
        tokens.append(table[at : at + length])
        at += length
    return tokens


def spell(tokens: list[bytes]) -> str:
    """Words of tokens: U+2581 begins a word, <...> is a mark of the model's own."""
    plain = b"".join(token for token in tokens if not (token.startswith(b"<") and token.endswith(b">")))
    return plain.decode(errors="replace").replace("\u2581", " ").strip()


def _folder() -> Path:
    found = find_spec("moonshine_voice")  # looked up, not imported: its import loads a second onnxruntime
    folder = Path(found.origin).parent / "assets" / "tiny-en" if found is not None and found.origin else None
    if folder is None or not folder.is_dir():
        raise BadSettings(
            "TRUNKLINE_ENGINE_STT", "moonshine's model is not installed", "pip install 'trunkline[stt-moonshine]'"
        )
    return folder
