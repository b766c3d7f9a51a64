"""What msgspec found wrong with a client's JSON, in the words and with the parameter of the client. Pure."""

import re

from trunkline.proto.errors import BadInput

_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*?)`")


def explain_validation(error: Exception) -> BadInput:
    """msgspec says what is wrong and where; the place becomes the parameter, spelt as the client spells it."""
    text = str(error)
    place = _PLACE.search(text)
    param = place[1] if place else ""
    problem = text[: place.start()] if place else text
    unknown = _UNKNOWN_FIELD.match(problem)
    if unknown:
        param = f"{param}.{unknown[1]}".lstrip(".")
        return BadInput(param, "is unknown or not supported yet", "", code="unknown_parameter")
    missing = re.match(r"Object missing required field `(.*?)`", problem)
    if missing:
        param = f"{param}.{missing[1]}".lstrip(".")
        return BadInput(param, "is missing", "", code="missing_required_parameter")
    if "base64" in problem:
        return BadInput(param or "audio", "is not base64", "base64 of audio in the session's input format")
    return BadInput(param, problem[:1].lower() + problem[1:], "")
