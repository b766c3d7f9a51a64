"""Responses that are kept, each with the input that was its own: any gateway goes on from them.

A response names the one before; pictures are referred to, never held.
"""

import msgspec

from trunkline.gateway.apis.responses.items import Images, Item, files_of, response_of
from trunkline.gateway.apis.responses.response import Response
from trunkline.proto.errors import BadInput
from trunkline.proto.generation import PROMPT_LIMIT_BYTES
from trunkline.proto.ids import is_id
from trunkline.proto.image import ShownImage
from trunkline.record import Bucket, StoreFull
from trunkline.telemetry import logs

CHAIN_LIMIT = 256  # responses, one before the other
KEPT_LIMIT_BYTES = 1_000_000  # of one: what a message on the bus may have, with room for its headers
ANSWER_BYTES = 128 * 1024  # kept free for what is answered

log = logs.get(__name__)


class Kept(msgspec.Struct, frozen=True):
    """images: that the input's items refer to."""

    response: Response
    input: tuple[Item, ...]
    images: tuple[ShownImage, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """What the conversation has gained by it."""
        return (*self.input, *self.response.output)

    def images_by_file(self) -> dict[str, ShownImage]:
        return {image.file: image for image in self.images}


_kept = msgspec.msgpack.Decoder(Kept)


class Shelf:
    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def get(self, response: str) -> Kept | None:
        """None for what was never kept, was deleted, or is too old. Raises StoreUnavailable."""
        return (await self._read(response))[0]

    async def _read(self, response: str) -> tuple[Kept | None, int]:
        """And its size in bytes."""
        data = await self._bucket.get(response) if is_id(response) else None
        if data is None:
            return None, 0
        try:
            return _kept.decode(data), len(data)
        except msgspec.MsgspecError as error:  # by a release of another shape
            log.error("a kept response can't be read", response=response, error=str(error))
            return None, len(data)

    async def put(self, kept: Kept) -> bool:
        """Whether there is room for it. Raises StoreUnavailable."""
        data = msgspec.msgpack.encode(kept)
        if len(data) > KEPT_LIMIT_BYTES:
            return False
        await self._bucket.put(kept.response.id, data)
        return True

    async def require_room(self, kept: Kept) -> None:
        """For it and its answer. Raises BadInput for one that is too large for any store, StoreFull."""
        size_bytes, limit_bytes = len(msgspec.msgpack.encode(kept)), KEPT_LIMIT_BYTES - ANSWER_BYTES
        if size_bytes > limit_bytes:
            allowed = f"{limit_bytes} bytes, or store: false"
            raise BadInput("input", f"is too large to be kept: {size_bytes} bytes with its tools", allowed)
        try:
            await self._bucket.require_room(size_bytes + ANSWER_BYTES)
        except StoreFull as full:
            raise StoreFull("the store of responses (which store: false needs not)", full.limit_bytes) from full

    async def delete(self, response: str) -> bool:
        """Whether it was there. Raises StoreUnavailable."""
        if not is_id(response) or await self._bucket.get(response) is None:
            return False
        await self._bucket.delete(response)
        return True

    async def before(self, previous: str | None) -> list[Kept]:
        """The conversation that `previous` is the end of, oldest first. Raises BadInput, StoreUnavailable."""
        chain: list[Kept] = []
        size_bytes = 0
        wanted = previous
        while wanted is not None:
            kept, more_bytes = await self._read(wanted)
            if kept is None:
                problem = f"Previous response with id {wanted[:80]!r} not found."
                raise BadInput("previous_response_id", problem, "", code="previous_response_not_found")
            size_bytes += more_bytes
            if len(chain) >= CHAIN_LIMIT or size_bytes > PROMPT_LIMIT_BYTES:
                problem = f"has more than {CHAIN_LIMIT} responses or {PROMPT_LIMIT_BYTES} bytes before it"
                allowed = "a response of a shorter conversation"
                raise BadInput("previous_response_id", problem, allowed, code="context_length_exceeded")
            chain.append(kept)
            wanted = kept.response.previous_response_id
        return chain[::-1]


class References:
    """Items that one request refers to. Many of a row are of one response, which is read once."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._last: Kept | None = None

    async def find(self, item: str, param: str) -> tuple[Item, Images]:
        """With the pictures that it shows. Raises BadInput, StoreUnavailable."""
        response = response_of(item)
        if self._last is None or self._last.response.id != response:
            self._last = await self._shelf.get(response)
        kept = self._last
        found = next((one for one in kept.items if one.id == item), None) if kept is not None else None
        if kept is None or found is None:
            problem = f"Item with id {item[:80]!r} not found"
            raise BadInput(param, problem, "an item of a response that is kept (store)", code="item_not_found")
        shown, images = files_of(found), kept.images_by_file()
        return found, {file: images[file] for file in shown if file in images}
