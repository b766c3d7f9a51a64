"""Guards of a call taken away one at a time, in tests alone: who finds nothing wrong then, proves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from trunkline.bus.link import LinkState, Sent


@contextmanager
def a_lost_message_is_never_sent_again() -> Iterator[None]:
    due = LinkState.due

    def forgetful(link: LinkState, now_s: float) -> tuple[list[Sent], bool, bool]:
        _, owed, gap = due(link, now_s)
        return [], owed, gap

    with mock.patch.object(LinkState, "due", forgetful):
        yield
