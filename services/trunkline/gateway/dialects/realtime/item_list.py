"""The items of a conversation in their order, as a client knows them. Pure.

Bounded: the oldest are forgotten, and the client can neither name nor retrieve them any more.
"""

from collections.abc import Iterator

from trunkline.gateway.dialects.realtime.events_out import AnyItem
from trunkline.proto.response import ROOT

ITEMS = 4_000  # of one call


class ItemList:
    def __init__(self) -> None:
        self._order: list[str] = []
        self._items: dict[str, AnyItem] = {}

    def __contains__(self, item: str) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[AnyItem]:
        return (self._items[item] for item in self._order)

    def get(self, item: str) -> AnyItem | None:
        return self._items.get(item)

    @property
    def last(self) -> str | None:
        return self._order[-1] if self._order else None

    def before(self, item: str) -> str | None:
        """None for the first."""
        for at in range(len(self._order) - 1, 0, -1):  # it is nearly always one of the last
            if self._order[at] == item:
                return self._order[at - 1]
        return None

    def put(self, item: AnyItem, after: str = "") -> None:
        """One that is there stays in its place. after: an item that is there, ROOT, or empty for the end."""
        if item.id not in self._items:
            if after in ("", self.last):
                self._order.append(item.id)
            else:
                self._order.insert(0 if after == ROOT else self._order.index(after) + 1, item.id)
        self._items[item.id] = item
        if len(self._order) > ITEMS:
            del self._items[self._order.pop(0)]

    def remove(self, item: str) -> None:
        del self._items[item]
        self._order.remove(item)
