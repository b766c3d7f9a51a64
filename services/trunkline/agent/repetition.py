"""A round that is run again: what it said already is compared and passed over, so that nothing is said twice.

Pure. Whoever drives it begins an item, passes its segments and ends it, as if they were said; Diverged is raised as
soon as that isn't what was said.
"""

from collections.abc import Sequence
from typing import NamedTuple

from trunkline.proto.errors import TrunklineError
from trunkline.proto.response import Phase
from trunkline.record import ItemView


class Diverged(TrunklineError):
    def __init__(self, item: str, what: str) -> None:
        super().__init__(f"{what} is not what was said in {item}")


class _Said(NamedTuple):
    """An item as it stood when its round was cut."""

    id: str
    phase: Phase | None
    source: str
    segments: tuple[str, ...]
    closed: bool


class Repetition:
    def __init__(self, items: Sequence[ItemView] = ()) -> None:
        self._ahead = [
            _Said(one.id, one.phase, one.source, tuple(one.segments.values()), one.status != "in_progress")
            for one in items
        ]
        self._item: _Said | None = None
        self._passed = 0  # segments of it

    @property
    def over(self) -> bool:
        """All that was said has been said again: what comes now is new."""
        return not self._ahead and (self._item is None or self._passed == len(self._item.segments))

    @property
    def ahead(self) -> list[str]:
        """Ids of the items that have not begun again."""
        return [said.id for said in self._ahead]

    def begin(self, phase: Phase | None, source: str) -> str:
        """The id of the item that begins here, "" for a new one."""
        if not self._ahead:
            return ""
        said = self._ahead.pop(0)
        if said.source != source or (phase is not None and said.phase not in (None, phase)):
            raise Diverged(said.id, f"{source} in phase {phase}")
        self._item, self._passed = said, 0
        return said.id

    @property
    def phase(self) -> Phase | None:
        """Of the current item, if it is known."""
        return self._item.phase if self._item is not None else None

    def settles(self, phase: Phase) -> bool:
        """Whether that is news."""
        if self.phase not in (None, phase):
            raise Diverged(self._item.id if self._item is not None else "", f"phase {phase}")
        return self.phase is None

    def passes(self, text: str) -> bool:
        """Whether the item's next segment was said already."""
        said = self._item
        if said is None:
            return False
        if self._passed < len(said.segments):
            if said.segments[self._passed] != text:
                raise Diverged(said.id, f"segment {self._passed}")
            self._passed += 1
            return True
        if said.closed or self._ahead:
            raise Diverged(said.id, f"a segment {self._passed}")
        return False

    def ends(self) -> bool:
        """Whether the end of the current item is news."""
        said, self._item = self._item, None
        if said is None:
            return True
        if self._passed < len(said.segments):
            raise Diverged(said.id, f"an end after {self._passed} segments")
        return not said.closed
