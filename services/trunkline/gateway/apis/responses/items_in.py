"""The items that a client gives as input: what each kind may have; pictures are taken in on the way.

What can't be honoured is refused by name; every error's param is spelt as the client spells it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.gateway.apis.responses.items import (
    INPUT,
    FunctionCall,
    FunctionOutput,
    Images,
    InputImage,
    InputText,
    Item,
    ItemStatus,
    Message,
    MessageRole,
    OutputText,
    Part,
    Refusal,
    item_id,
)
from trunkline.gateway.validation import read_part
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import is_id
from trunkline.proto.image import Detail, ShownImage
from trunkline.proto.response import Phase

ITEMS_LIMIT = 2048
IMAGES_LIMIT = 64  # new ones in a request
NAME_LIMIT = 64
ROLES: tuple[MessageRole, ...] = ("user", "assistant", "system", "developer")
KINDS = ("message", "function_call", "function_call_output", "item_reference")


class TakesPictures(Protocol):
    async def take(self, *, image_url: str | None, file_id: str | None, detail: Detail, param: str) -> ShownImage: ...


FindItem = Callable[[str, str], Awaitable[tuple[Item, Images]]]
"""(id, param) of a reference -> the item and the pictures it refers to. Raises BadInput, StoreUnavailable."""


class _Kind(msgspec.Struct, frozen=True):
    type: str | None = None
    role: msgspec.Raw | UnsetType = UNSET
    id: msgspec.Raw | UnsetType = UNSET


class _PartKind(msgspec.Struct, frozen=True):
    type: str


class _NewText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """prompt_cache_breakpoint: of a cache; there is none."""

    type: str
    text: str
    prompt_cache_breakpoint: object = None


class _NewImage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None
    prompt_cache_breakpoint: object = None


class _NewOutputText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    text: str
    annotations: tuple[object, ...] | None = None
    logprobs: tuple[object, ...] | None = None


class _NewRefusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    refusal: str


_PARTS = {
    "user": ("input_text", "input_image"),
    "system": ("input_text",),
    "developer": ("input_text",),
    "assistant": ("output_text", "refusal"),
}


class _NewMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: str
    content: str | list[msgspec.Raw]
    type: str | None = None
    id: str | None = None
    status: ItemStatus | None = None
    phase: Phase | UnsetType | None = UNSET


class _NewCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"asynchronous": "async"}):
    """caller, namespace, asynchronous: of tools that there are none of, so null."""

    type: str
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: ItemStatus | None = None
    caller: None = None
    namespace: None = None
    asynchronous: Literal[False] | None = None
    created_by: object = None


class _NewOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: of the tool, which its call says as well."""

    type: str
    call_id: str
    output: str | list[msgspec.Raw]
    id: str | None = None
    status: ItemStatus | None = None
    name: str | None = None
    caller: None = None
    namespace: None = None
    created_by: object = None


class _Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    type: str | None = None


class ItemsIn:
    """Of one request. response: its id. images: those of the items so far, by file."""

    def __init__(self, response: str, pictures: TakesPictures, find: FindItem) -> None:
        self.images: dict[str, ShownImage] = {}
        self._response = response
        self._pictures = pictures
        self._find = find
        self._taken = 0

    async def read(self, given: str | Sequence[msgspec.Raw]) -> tuple[Item, ...]:
        """Raises BadInput, StoreUnavailable."""
        if isinstance(given, str):
            return (Message(self._name(None, "msg", 0, "input"), "user", "completed", (InputText(given),)),)
        if len(given) > ITEMS_LIMIT:
            raise BadInput("input", f"has {len(given)} items", f"up to {ITEMS_LIMIT}")
        items = [await self._item(raw, number, f"input[{number}]") for number, raw in enumerate(given)]
        return tuple(item for item in items if item is not None)

    async def _item(self, raw: msgspec.Raw, number: int, param: str) -> Item | None:
        """None for one that means nothing to any model here: another's reasoning, which was not given out here."""
        kind = read_part(raw, _Kind, param)
        named = kind.type or ("item_reference" if kind.role is UNSET and kind.id is not UNSET else "message")
        match named:
            case "message":
                return await self._message(read_part(raw, _NewMessage, param), number, param)
            case "function_call":
                return self._call(read_part(raw, _NewCall, param), number, param)
            case "function_call_output":
                return await self._output(read_part(raw, _NewOutput, param), number, param)
            case "item_reference":
                reference = read_part(raw, _Reference, param)
                item, images = await self._find(reference.id, f"{param}.id")
                self.images.update(images)
                return item
            case "reasoning":
                return None
        problem = f"{named[:80]!r} is not supported"
        raise BadInput(f"{param}.type", problem, ", ".join((*KINDS, "reasoning")), code="not_supported")

    async def _message(self, given: _NewMessage, number: int, param: str) -> Message:
        role = next((role for role in ROLES if role == given.role), None)
        if role is None:
            raise BadInput(f"{param}.role", f"is {given.role[:80]!r}", ", ".join(ROLES))
        phase = given.phase
        if role != "assistant":
            if phase not in (None, UNSET):
                raise BadInput(f"{param}.phase", "is of the assistant alone", "null or leave it out")
            phase = UNSET
        content: tuple[Part, ...]
        if isinstance(given.content, str):
            content = (OutputText(given.content) if role == "assistant" else InputText(given.content),)
        else:
            parts = enumerate(given.content)
            content = tuple([await self._part(raw, _PARTS[role], f"{param}.content[{at}]") for at, raw in parts])
        name = self._name(given.id, "msg", number, param)
        return Message(name, role, given.status or "completed", content, phase)

    async def _part(self, raw: msgspec.Raw, kinds: Sequence[str], param: str) -> Part:
        kind = read_part(raw, _PartKind, param).type
        if kind not in kinds:
            raise BadInput(f"{param}.type", f"{kind[:80]!r} is not supported", ", ".join(kinds), code="not_supported")
        match kind:
            case "input_text":
                return InputText(read_part(raw, _NewText, param).text)
            case "input_image":
                return await self._image(read_part(raw, _NewImage, param), param)
            case "output_text":
                text = read_part(raw, _NewOutputText, param)
                return OutputText(text.text, text.annotations or (), text.logprobs or ())
        return Refusal(read_part(raw, _NewRefusal, param).refusal)

    async def _image(self, given: _NewImage, param: str) -> InputImage:
        self._taken += 1
        if self._taken > IMAGES_LIMIT:
            raise BadInput(param, f"is one of more than {IMAGES_LIMIT} pictures", f"up to {IMAGES_LIMIT} in a request")
        place = f"{param}.image_url" if given.file_id is None else f"{param}.file_id"
        detail = given.detail or "auto"
        shown = await self._pictures.take(image_url=given.image_url, file_id=given.file_id, detail=detail, param=place)
        self.images[shown.file] = shown
        return InputImage(detail, shown.file)

    def _call(self, given: _NewCall, number: int, param: str) -> FunctionCall:
        _require_id(given.call_id, f"{param}.call_id")
        if not 0 < len(given.name) <= NAME_LIMIT:
            raise BadInput(f"{param}.name", f"has {len(given.name)} characters", f"1 to {NAME_LIMIT}")
        name = self._name(given.id, "fc", number, param)
        return FunctionCall(name, given.call_id, given.name, given.arguments, given.status or "completed")

    async def _output(self, given: _NewOutput, number: int, param: str) -> FunctionOutput:
        _require_id(given.call_id, f"{param}.call_id")
        output: str | tuple[InputText | InputImage, ...]
        if isinstance(given.output, str):
            output = given.output
        else:
            parts = [
                await self._part(raw, _PARTS["user"], f"{param}.output[{n}]") for n, raw in enumerate(given.output)
            ]
            output = tuple(part for part in parts if isinstance(part, InputText | InputImage))
        name = self._name(given.id, "fco", number, param)
        return FunctionOutput(name, given.call_id, output, given.status or "completed")

    def _name(self, given: str | None, prefix: str, number: int, param: str) -> str:
        if given:
            _require_id(given, f"{param}.id")
        return given or item_id(prefix, self._response, f"{INPUT}{number}")


def _require_id(text: str, param: str) -> None:
    if not is_id(text):
        raise BadInput(param, f"{text[:80]!r} is no id", "1 to 128 of A-Z a-z 0-9 - _")
