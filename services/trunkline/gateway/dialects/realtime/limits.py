"""How large a client's events may be. What is only too large gets an error event; what is far too large does not."""

import msgspec

HARD_FACTOR = 4


class Limits(msgspec.Struct, frozen=True):
    """In bytes, of one event of a client's. with_pictures: of one that shows some."""

    event: int
    with_pictures: int = 0

    @property
    def hard(self) -> int:
        """Above it, the socket is closed with 1009 and without an error event."""
        return max(self.event * HARD_FACTOR, self.with_pictures + self.event)
