"""A response that a client asks for."""

import msgspec

from trunkline.gateway.script import Style
from trunkline.proto.response import Asked


class Wanted(msgspec.Struct, frozen=True):
    """instructions: empty for the session's. response: the id that it shall have, empty for a new one.

    asked: for the agent. style: None for the session's.
    """

    instructions: str = ""
    response: str = ""
    asked: Asked | None = None
    style: Style | None = None

    @property
    def aside(self) -> bool:
        """Out of band: it is no part of the conversation."""
        return self.asked is not None and self.asked.aside
