"""What a client asks of a transcription: the fields of its form, and which of them mean something here. Pure.

Rule: a field is honoured, or at a value that changes nothing, or refused by name.
"""

from collections.abc import Collection, Iterable
from typing import Annotated, Literal

import msgspec

from trunkline.gateway.model_names import require_model
from trunkline.gateway.validation import explain_validation
from trunkline.proto.errors import BadInput
from trunkline.proto.speech import TurnRules

SILENCE_MS = 700  # ends an utterance: nobody waits for its words, so it may be longer than on a call
PADDING_MS = 100
FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
LISTS = (
    "include",
    "keywords",
    "known_speaker_names",
    "known_speaker_references",
    "languages",
    "timestamp_granularities",
)

Format = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Threshold = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=5_000)]
Silence = Annotated[int, msgspec.Meta(ge=100, le=10_000)]


class ServerVad(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["server_vad"]
    threshold: Threshold = 0.5
    prefix_padding_ms: Milliseconds = PADDING_MS
    silence_duration_ms: Silence = SILENCE_MS


class TranscriptionAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As the client spells it, but for `file`."""

    model: str
    language: str = ""
    languages: list[str] = []
    prompt: str = ""
    keywords: list[str] = []
    response_format: Format = "json"
    temperature: float = 0.0
    timestamp_granularities: list[Literal["word", "segment"]] = []
    stream: bool = False
    include: list[Literal["logprobs"]] = []
    chunking_strategy: Literal["auto"] | ServerVad = "auto"
    known_speaker_names: list[str] = []
    known_speaker_references: list[str] = []

    @property
    def wanted_languages(self) -> list[tuple[str, str]]:
        """With the field that names each."""
        single = [("language", self.language)] if self.language else []
        return single + [(f"languages[{number}]", language) for number, language in enumerate(self.languages)]

    @property
    def rules(self) -> TurnRules:
        """Where utterances begin and end; however long a number is dictated, it is one text in the end."""
        vad = self.chunking_strategy
        if not isinstance(vad, ServerVad):
            vad = ServerVad("server_vad")
        silence_ms = vad.silence_duration_ms
        return TurnRules(True, vad.threshold, vad.prefix_padding_ms, silence_ms, unfinished_ms=silence_ms)


def read(fields: Iterable[tuple[str, str]], models: Collection[str]) -> TranscriptionAsked:
    """models: names that mean the recogniser. Raises BadInput."""
    try:
        asked = msgspec.convert(_nested(fields), TranscriptionAsked, strict=False)
    except msgspec.ValidationError as error:
        raise explain_validation(error, choices={"response_format": ", ".join(FORMATS)}) from error
    require_model(asked.model, models)
    _require_supported(asked)
    return asked


def _nested(fields: Iterable[tuple[str, str]]) -> dict[str, object]:
    """`name[]` is one of a list, `name[part]` a part of an object, which may come as JSON too."""
    made: dict[str, object] = {}
    for name, value in fields:
        outer, _, inner = name.partition("[")
        inner = inner.removesuffix("]")
        held = made.get(outer)
        if outer in LISTS:
            made[outer] = [*(held if isinstance(held, list) else []), value]
        elif inner:
            made[outer] = {**(held if isinstance(held, dict) else {}), inner: value}
        elif outer in made:
            raise BadInput(outer[:80], "comes twice", "one value")
        elif value:  # an empty one isn't given
            made[outer] = _object(outer, value) if outer == "chunking_strategy" else value
    return made


def _object(name: str, value: str) -> object:
    if not value.lstrip().startswith("{"):
        return value
    try:
        made: object = msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise BadInput(name, "is not JSON", 'auto, or {"type": "server_vad"} with its settings') from error
    return made


def _require_supported(asked: TranscriptionAsked) -> None:
    """Raises BadInput."""
    if asked.response_format == "diarized_json":
        raise BadInput("response_format", "nobody tells speakers apart", ", ".join(FORMATS), code="not_supported")
    for name in ("prompt", "keywords", "include", "known_speaker_names", "known_speaker_references"):
        if getattr(asked, name):
            raise BadInput(name, "is not supported", "nothing: leave it out", code="not_supported")
    if asked.temperature:
        raise BadInput("temperature", f"is {asked.temperature}, and nothing here is sampled", "0", code="not_supported")
    if "word" in asked.timestamp_granularities:
        raise BadInput("timestamp_granularities", "word is not supported", "segment", code="not_supported")
    if asked.timestamp_granularities and asked.response_format != "verbose_json":
        raise BadInput("timestamp_granularities", f"has no place in {asked.response_format}", "verbose_json")
    if asked.stream and asked.response_format != "json":
        raise BadInput("response_format", f"{asked.response_format} can't be streamed", "json", code="not_supported")
