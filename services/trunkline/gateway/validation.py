"""What msgspec found wrong with a client's JSON, in the words and with the parameter of the client. Pure."""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from trunkline.proto.errors import BadInput

METADATA_LIMIT, KEY_LIMIT, VALUE_LIMIT = 16, 64, 512  # pairs; characters
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
RENAMED = {
    "session.modalities": "session.output_modalities",
    "session.voice": "session.audio.output.voice",
    "session.speed": "session.audio.output.speed",
    "session.input_audio_format": "session.audio.input.format",
    "session.output_audio_format": "session.audio.output.format",
    "session.input_audio_transcription": "session.audio.input.transcription",
    "session.input_audio_noise_reduction": "session.audio.input.noise_reduction",
    "session.turn_detection": "session.audio.input.turn_detection",
    "session.max_response_output_tokens": "session.max_output_tokens",
}
"""Fields of the protocol's beta, and where its final form has them."""
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*?)`")


T = TypeVar("T")


def read_json(
    text: bytes | msgspec.Raw,
    decoder: "msgspec.json.Decoder[T]",
    within: str = "",
    *,
    choices: Mapping[str, str] | None = None,
) -> T:
    """A client's own. within: the parameter that is read by itself, empty for a request's body. choices: see
    explain_validation. Raises BadInput."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise explain_validation(error, within, choices=choices) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        problem = "is nested too deeply" if isinstance(error, RecursionError) else "is not JSON"
        problem = problem if within else f"the body {problem}"
        raise BadInput(within, problem, "a JSON object", code="invalid_json") from error


def read_part(raw: msgspec.Raw, kind: type[T], param: str) -> T:
    """Of what was read before. Raises BadInput."""
    return read_json(raw, msgspec.json.Decoder(kind), param)


def explain_validation(error: Exception, within: str = "", *, choices: Mapping[str, str] | None = None) -> BadInput:
    """msgspec says what is wrong and where; the place becomes the parameter, spelt as the client spells it. within: the
    parameter that was read by itself. choices: what is allowed, by parameter, where msgspec doesn't say it."""
    text = str(error)
    place = _PLACE.search(text)
    param = _joined(within, place[1] if place else "")
    problem = text[: place.start()] if place else text
    unknown = _UNKNOWN_FIELD.match(problem)
    if unknown:
        param = _joined(param, unknown[1])
        if param in RENAMED:
            return BadInput(param, "is a name of the beta", RENAMED[param], code="unknown_parameter")
        return BadInput(param, "is unknown or not supported yet", "", code="unknown_parameter")
    missing = re.match(r"Object missing required field `(.*?)`", problem)
    if missing:
        param = _joined(param, missing[1])
        return BadInput(param, "is missing", "", code="missing_required_parameter")
    if "base64" in problem:
        return BadInput(param or "audio", "is not base64", "base64 of audio in the session's input format")
    return BadInput(param, problem[:1].lower() + problem[1:], (choices or {}).get(param, ""))


def _joined(param: str, part: str) -> str:
    dot = "." if param and part and not part.startswith("[") else ""
    return f"{param}{dot}{part}"


def read_number(param: str, text: str | None, least: int, most: int) -> int:
    """A whole number in an address or a form. Raises BadInput."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise BadInput(param, f"is {text!r}"[:80], f"{least} to {most}")
    return int(text)


def bytes_of(text: str) -> int:
    """How many there are of it on the wire."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))  # most of it is audio: ASCII


def require_size(param: str, text: str, limit_bytes: int) -> None:
    """Raises BadInput."""
    size = bytes_of(text)
    if size > limit_bytes:
        raise BadInput(param, f"has {size} bytes", f"{limit_bytes} bytes")


def require_metadata(param: str, metadata: Mapping[str, str]) -> None:
    """Raises BadInput."""
    if len(metadata) > METADATA_LIMIT:
        raise BadInput(param, f"has {len(metadata)} pairs", f"up to {METADATA_LIMIT}")
    for key, value in metadata.items():
        if len(key) > KEY_LIMIT:
            raise BadInput(param, f"has a key of {len(key)} characters", f"up to {KEY_LIMIT}")
        if len(value) > VALUE_LIMIT:
            raise BadInput(f"{param}.{key}", f"has {len(value)} characters", f"up to {VALUE_LIMIT}")
