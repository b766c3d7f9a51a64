"""The pictures that a client's event shows: what of each can be checked at once, and what it takes to have them.

Rule: a picture is stored before anybody is told of it, so an event that shows any takes time.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, cast

import msgspec

from trunkline.gateway.dialects.realtime.events_in import ClientEvent, CreateItem, CreateResponse, NewItem, NewPart
from trunkline.proto.errors import BadInput
from trunkline.proto.image import Detail, ShownImage

IMAGE = "input_image"
SHOWS = IMAGE.encode()  # is in every event that shows any
DETAILS = ("auto", "low", "high")
IMAGES_LIMIT = 16  # of one event
Images = Mapping[str, ShownImage]
"""By the parameter of the part that shows it, `at` not yet known."""
NO_IMAGES: Images = MappingProxyType({})


class Pictures(Protocol):
    async def take(self, *, image_url: str | None, file_id: str | None, detail: Detail, param: str) -> ShownImage:
        """Stored, at 0. Raises BadInput, StoreUnavailable, StageUnavailable."""
        ...


class WantedImage(NamedTuple):
    """As the client gives it. param: of its part."""

    image_url: str | None
    file_id: str | None
    detail: Detail
    param: str


class _Options(msgspec.Struct, frozen=True):
    """Of a response, what can show a picture."""

    input: list[NewItem] | None = None


_options = msgspec.json.Decoder(_Options | None)
_NULL = b"null"


def wanted_by(event: ClientEvent) -> list[WantedImage]:
    """Empty for nearly every event. Raises BadInput."""
    match event:
        case CreateItem(item=item):
            wanted = list(_of_item(item, "item"))
        case CreateResponse(response=options) if bytes(options) != _NULL:
            given = _input_of(bytes(options))
            wanted = [one for at, item in enumerate(given) for one in _of_item(item, f"response.input[{at}]")]
        case _:
            return []
    if len(wanted) > IMAGES_LIMIT:
        raise BadInput(wanted[IMAGES_LIMIT].param, f"is picture {IMAGES_LIMIT + 1} of its event", f"{IMAGES_LIMIT}")
    return wanted


async def take(pictures: Pictures, wanted: list[WantedImage]) -> Images:
    """One after the other, so that one event holds one picture at a time. Raises BadInput, StoreUnavailable,
    StageUnavailable."""
    return {
        one.param: await pictures.take(
            image_url=one.image_url, file_id=one.file_id, detail=one.detail, param=f"{one.param}.{_field(one)}"
        )
        for one in wanted
    }


def _field(wanted: WantedImage) -> str:
    return "image_url" if wanted.file_id is None else "file_id"


def _input_of(options: bytes) -> list[NewItem]:
    """What can't be read is explained where the options are."""
    try:
        given = _options.decode(options)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    return (given.input or []) if given is not None else []


def _of_item(item: NewItem, param: str) -> Iterator[WantedImage]:
    """Of a user's message; on others a picture is refused with the rest of them."""
    if item.type == "message" and item.role == "user":
        for at, part in enumerate(item.content):
            if part.type == IMAGE:
                yield _wanted(part, f"{param}.content[{at}]")


def _wanted(part: NewPart, param: str) -> WantedImage:
    if part.image_url is None and part.file_id is None:
        raise BadInput(param, "has neither image_url nor file_id", "one of them", code="missing_required_parameter")
    if part.image_url is not None and part.file_id is not None:
        raise BadInput(param, "has both image_url and file_id", "one of them")
    detail = part.detail or "auto"
    if detail not in DETAILS:
        raise BadInput(f"{param}.detail", f"{detail[:80]!r} is not supported here", ", ".join(DETAILS))
    return WantedImage(part.image_url, part.file_id, cast(Detail, detail), param)
