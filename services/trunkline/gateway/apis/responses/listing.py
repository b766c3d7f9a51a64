"""A response's own input items, page by page. Pure. Source: the vendor's `input_items.list`."""

from collections.abc import Mapping, Sequence

import msgspec

from trunkline.gateway.apis.responses.items import Item
from trunkline.proto.errors import BadInput

PAGE, PAGE_LIMIT = 20, 100
PARAMETERS = ("after", "limit", "order", "include", "include[]")


class ItemList(msgspec.Struct, frozen=True):
    data: tuple[Item, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"


def listed(items: Sequence[Item], query: Mapping[str, str]) -> ItemList:
    """query: of the address. Raises BadInput."""
    for name in query:
        if name not in PARAMETERS:
            raise BadInput(name, "is unknown", ", ".join(PARAMETERS), code="unknown_parameter")
        if name.startswith("include"):
            raise BadInput("include", f"{query[name][:80]!r} is not supported", "leave it out", code="not_supported")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadInput("order", f"is {order[:80]!r}", "asc, desc")
    limit = query.get("limit", str(PAGE))
    if not limit.isdecimal() or not 1 <= int(limit[:9]) <= PAGE_LIMIT:
        raise BadInput("limit", f"is {limit[:80]!r}", f"1 to {PAGE_LIMIT}")
    ordered = list(items) if order == "asc" else list(reversed(items))
    begin = 0
    if "after" in query:
        names = [item.id for item in ordered]
        if query["after"] not in names:
            raise BadInput("after", f"there is no item {query['after'][:80]!r}", "the id of an item listed before")
        begin = names.index(query["after"]) + 1
    page = ordered[begin : begin + int(limit)]
    more = len(ordered) > begin + len(page)
    return ItemList(tuple(page), page[0].id if page else None, page[-1].id if page else None, more)
