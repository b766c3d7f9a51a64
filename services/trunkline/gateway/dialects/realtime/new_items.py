"""The items that a client gives: what each kind may have, what the agent is told of it, and how it is told back. Pure.

What can't be honoured is refused by name; every error's param is spelt as the client spells it.
"""

from collections.abc import Sequence
from typing import NamedTuple, NoReturn, get_args

import msgspec

from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.events_in import MAX_TEXT, NULL, NewItem, NewPart
from trunkline.gateway.dialects.realtime.images_in import IMAGE, Images
from trunkline.gateway.dialects.realtime.items import Role, function_call, function_output, image_part, message
from trunkline.gateway.validation import require_size
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import is_id, new_item_id, new_tool_call_id
from trunkline.proto.response import ROOT, Inserted

KINDS = ("message", "function_call", "function_call_output")
PARTS = {  # by role, and by type the field that has what it says
    "user": {"input_text": "text", "input_audio": "transcript", IMAGE: "image_url"},
    "system": {"input_text": "text"},
    "assistant": {"output_text": "text", "text": "text", "output_audio": "transcript", "audio": "transcript"},
}
_FIELDS = {
    "message": ("role", "content", "phase"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
}
NAME_LIMIT = 64
OUTPUT_LIMIT_BYTES = 64 * 1024
_object = msgspec.json.Decoder(dict[str, object])


class Given(NamedTuple):
    """told: as the agent is told of it. shown: as the client is."""

    told: Inserted
    shown: out.AnyItem


def read_item(item: NewItem, param: str, images: Images | None = None) -> Given:
    """param: where the client has it. images: all that it shows; None while they aren't stored: then what is given
    lacks them. Raises BadInput."""
    if item.type not in KINDS:
        _refuse(f"{param}.type", item.type, KINDS)
    _require_fields(item, param)
    if item.id is not None and (not is_id(item.id) or item.id == ROOT):
        raise BadInput(f"{param}.id", f"{item.id[:80]!r} is no id", f"1 to 128 of A-Z a-z 0-9 - _, and not {ROOT!r}")
    name = item.id or new_item_id()
    match item.type:
        case "message":
            return _message(item, name, param, images)
        case "function_call":
            return _call(item, name, param)
        case _:
            return _output(item, name, param)


def _require_fields(item: NewItem, param: str) -> None:
    """Fields of other kinds say something that would be lost."""
    for kind, fields in _FIELDS.items():
        for field in fields:
            if field not in _FIELDS[item.type] and getattr(item, field) not in (None, []):
                raise BadInput(f"{param}.{field}", f"belongs to a {kind}", f"a {item.type} without it")


def _message(item: NewItem, name: str, param: str, images: Images | None) -> Given:
    role = next((role for role in get_args(Role) if role == item.role), None)
    if role is None:
        _refuse(f"{param}.role", item.role or "", get_args(Role), code="invalid_value")
    if item.phase is not None and role != "assistant":
        raise BadInput(f"{param}.phase", "is of the assistant alone", "null or leave it out")
    places = [f"{param}.content[{at}]" for at in range(len(item.content))]
    parts = [_part(part, PARTS[role], place, images) for part, place in zip(item.content, places, strict=True)]
    said = [part.transcript or part.text or "" for part in parts]
    whole = "".join(said)
    text = whole.strip()
    if len(text) > MAX_TEXT or not (text or any(part.type == IMAGE for part in parts)):
        raise BadInput(f"{param}.content", f"has {len(text)} characters of text", f"1 to {MAX_TEXT}")
    left_out = len(whole) - len(whole.lstrip())
    before = (len("".join(said[:at])) - left_out for at in range(len(said)))
    told = tuple(
        msgspec.structs.replace(images[place], at=min(max(0, at), len(text)))
        for place, at in zip(places, before, strict=True)
        if images is not None and place in images
    )
    shown = message(name, role, parts, phase=item.phase)
    return Given(Inserted("message", name, role, text, item.phase, images=told), shown)


def _part(part: NewPart, kinds: dict[str, str], param: str, images: Images | None) -> out.Part:
    if part.type not in kinds:
        _refuse(f"{param}.type", part.type, tuple(kinds))
    if part.audio != NULL:
        raise BadInput(f"{param}.audio", "is not supported yet", f"{kinds[part.type]}", code="not_supported")
    if part.type == IMAGE:
        return _image(part, param, images)
    for field in ("image_url", "file_id", "detail"):
        if getattr(part, field) is not None:
            raise BadInput(f"{param}.{field}", f"belongs to an {IMAGE}", f"{kinds[part.type]}")
    if kinds[part.type] == "text":
        kind = "output_text" if part.type == "text" else part.type
        return out.Part(kind, text=part.text or "")
    kind = "output_audio" if part.type == "audio" else part.type
    return out.Part(kind, transcript=part.transcript or "")


def _image(part: NewPart, param: str, images: Images | None) -> out.Part:
    for field in ("text", "transcript"):
        if getattr(part, field) is not None:
            raise BadInput(f"{param}.{field}", f"is nothing of an {IMAGE}", "a part of its own")
    return out.Part(IMAGE) if images is None else image_part(images[param])


def _call(item: NewItem, name: str, param: str) -> Given:
    called = _required(item.name, f"{param}.name")
    arguments = _required(item.arguments, f"{param}.arguments")
    if not 0 < len(called) <= NAME_LIMIT:
        raise BadInput(f"{param}.name", f"has {len(called)} characters", f"1 to {NAME_LIMIT}")
    if len(arguments) > MAX_TEXT:
        raise BadInput(f"{param}.arguments", f"has {len(arguments)} characters", f"up to {MAX_TEXT}")
    try:
        _object.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadInput(f"{param}.arguments", "is no JSON object", "a JSON object as text") from error
    call_id = item.call_id or new_tool_call_id()
    if not is_id(call_id):
        raise BadInput(f"{param}.call_id", f"{call_id[:80]!r} is no id", "1 to 128 of A-Z a-z 0-9 - _")
    told = Inserted("function_call", name, text=arguments, call_id=call_id, name=called)
    return Given(told, function_call(call_id, called, arguments, name))


def _output(item: NewItem, name: str, param: str) -> Given:
    call_id = _required(item.call_id, f"{param}.call_id")
    output = _required(item.output, f"{param}.output")
    require_size(f"{param}.output", output, OUTPUT_LIMIT_BYTES)
    told = Inserted("function_call_output", name, text=output, call_id=call_id)
    return Given(told, function_output(name, call_id, output))


def _required(value: str | None, param: str) -> str:
    if value is None:
        raise BadInput(param, "is missing", "text", code="missing_required_parameter")
    return value


def _refuse(param: str, value: str, allowed: Sequence[str], code: str = "not_supported") -> NoReturn:
    problem = f"{value[:80]!r} is not supported" + (" yet" if code == "not_supported" else "")
    raise BadInput(param, problem, ", ".join(allowed), code=code)
