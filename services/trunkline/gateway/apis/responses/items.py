"""Items of a response's input and output, in the vendor's shape: as clients read them, and as they are kept.

Pure. What the model is told of an item follows from it alone, and from what is known of the pictures it refers to.
"""

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.proto.image import Detail, ShownImage
from trunkline.proto.response import Inserted, Phase

ItemStatus = Literal["in_progress", "completed", "incomplete"]
MessageRole = Literal["user", "assistant", "system", "developer"]
INPUT = "i"  # before the number of an input's item


class InputText(msgspec.Struct, frozen=True, tag="input_text", tag_field="type"):
    text: str


class InputImage(msgspec.Struct, frozen=True, tag="input_image", tag_field="type"):
    """file_id: where it is kept, however it was given; so there is no image_url to tell."""

    detail: Detail
    file_id: str
    image_url: None = None


class OutputText(msgspec.Struct, frozen=True, tag="output_text", tag_field="type"):
    text: str
    annotations: tuple[object, ...] = ()
    logprobs: tuple[object, ...] = ()


class Refusal(msgspec.Struct, frozen=True, tag="refusal", tag_field="type"):
    refusal: str


Part = InputText | InputImage | OutputText | Refusal


class Message(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """phase: as it was given: null, absent, or one; of output always null or one."""

    id: str
    role: MessageRole
    status: ItemStatus
    content: tuple[Part, ...]
    phase: Phase | UnsetType | None = UNSET

    @property
    def text(self) -> str:
        return "".join(_words(part) for part in self.content)


class FunctionCall(msgspec.Struct, frozen=True, tag="function_call", tag_field="type"):
    """arguments: a JSON object as text, as the model gave it."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: ItemStatus


class FunctionOutput(msgspec.Struct, frozen=True, tag="function_call_output", tag_field="type"):
    id: str
    call_id: str
    output: str | tuple[InputText | InputImage, ...]
    status: ItemStatus


Item = Message | FunctionCall | FunctionOutput
OutputItem = Message | FunctionCall
Images = Mapping[str, ShownImage]
"""Pictures by the id of their file; `at` and `detail` mean nothing here."""


def item_id(prefix: str, response: str, number: int | str) -> str:
    """An item's id holds its response's, so that a reference to it finds where it is kept."""
    return f"{prefix}_{response.removeprefix('resp_')}_{number}"


def response_of(item: str) -> str:
    """The id of the response in an item's id; of any other id, one that no response has."""
    return f"resp_{item.partition('_')[2].rpartition('_')[0]}"


def told(item: Item, images: Images) -> Inserted:
    """As the model is told of it."""
    match item:
        case Message(id=name, role=role, content=content, phase=phase):
            told_role: Literal["user", "assistant", "system"] = "system" if role == "developer" else role
            known_phase = None if phase is UNSET else phase
            return Inserted("message", name, told_role, item.text, known_phase, images=_shown(content, images))
        case FunctionCall(id=name, call_id=call_id, arguments=arguments):
            return Inserted("function_call", name, text=arguments or "{}", call_id=call_id, name=item.name)
        case FunctionOutput(id=name, call_id=call_id, output=output):
            if isinstance(output, str):
                return Inserted("function_call_output", name, text=output, call_id=call_id)
            words = "".join(_words(part) for part in output)
            return Inserted("function_call_output", name, text=words, call_id=call_id, images=_shown(output, images))


def files_of(item: Item) -> list[str]:
    """Ids of the files that it refers to."""
    parts: tuple[object, ...] = ()
    if isinstance(item, Message):
        parts = item.content
    elif isinstance(item, FunctionOutput) and not isinstance(item.output, str):
        parts = item.output
    return [part.file_id for part in parts if isinstance(part, InputImage)]


def _shown(parts: Collection[Part], images: Images) -> tuple[ShownImage, ...]:
    shown: list[ShownImage] = []
    at = 0
    for part in parts:
        at += len(_words(part))
        if isinstance(part, InputImage):
            shown.append(msgspec.structs.replace(images[part.file_id], at=at, detail=part.detail))
    return tuple(shown)


def _words(part: Part) -> str:
    match part:
        case InputText(text=text) | OutputText(text=text):
            return text
        case Refusal(refusal=refusal):
            return refusal
        case InputImage():
            return ""
