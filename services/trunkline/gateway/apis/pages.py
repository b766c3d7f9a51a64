"""Lists that are told page by page, as the vendor's are: by `limit`, `order` and `after`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from trunkline.gateway.validation import read_number
from trunkline.proto.errors import BadInput

PARAMETERS = ("limit", "order", "after")


class Named(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Named)


class Page(msgspec.Struct, Generic[T], frozen=True):
    """The vendor's shape."""

    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"


class PageWanted(NamedTuple):
    """after: the last id of the page before, empty for the first page."""

    limit: int
    newest_first: bool
    after: str


def read_page(query: Mapping[str, str], usual: int, most: int, others: Sequence[str] = ()) -> PageWanted:
    """query: of the address. usual, most: items of a page. others: parameters that this list has besides.

    Raises BadInput."""
    known = (*PARAMETERS, *others)
    for name in query:
        if name not in known:
            raise BadInput(name[:80], "is not known", ", ".join(known), code="unknown_parameter")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadInput("order", f"is {order[:80]!r}", "asc, desc")
    return PageWanted(
        read_number("limit", query.get("limit", str(usual)), 1, most), order == "desc", query.get("after", "")
    )


def page_of(items: Sequence[T], wanted: PageWanted) -> Page[T]:
    """items: all there are, the oldest first. Raises BadInput for an `after` that isn't there."""
    ordered = list(reversed(items)) if wanted.newest_first else list(items)
    begin = 0
    if wanted.after:
        names = [item.id for item in ordered]
        if wanted.after not in names:
            raise BadInput("after", f"there is no {wanted.after[:80]!r}", "the id of one in this list")
        begin = names.index(wanted.after) + 1
    page = ordered[begin : begin + wanted.limit]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return Page(page, first, last, len(ordered) > begin + len(page))
