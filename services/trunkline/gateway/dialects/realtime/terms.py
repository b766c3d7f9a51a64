"""What is agreed with a Realtime client before it is answered: how it comes, and in which dialect."""

from collections.abc import Mapping

import msgspec

from trunkline.gateway.dialects.realtime import resume_event
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.proto import binary_dialect
from trunkline.proto.binary_dialect import INPUT_RATES_HZ

OURS = (binary_dialect.SUBPROTOCOL, resume_event.SUBPROTOCOL)
"""Subprotocols of clients that come back by themselves."""


class Dialect(msgspec.Struct, frozen=True):
    """ours: it can come back by itself. binary: its audio and the agent's are binary messages."""

    ours: bool = False
    binary: bool = False

    @classmethod
    def of(cls, subprotocol: str | None) -> "Dialect":
        """As agreed on at the upgrade."""
        return cls(subprotocol in OURS, subprotocol == binary_dialect.SUBPROTOCOL)

    @property
    def input_rates_hz(self) -> tuple[int, ...]:
        """Of audio/pcm."""
        return INPUT_RATES_HZ if self.binary else INPUT_RATES_HZ[:1]


STOCK = Dialect()


class Terms(msgspec.Struct, frozen=True):
    """How a client comes. model: as it spelt it. token: to come back with, empty for none. aliases, bound: see
    Offer."""

    model: str
    token: str
    limits: Limits
    dialect: Dialect = STOCK
    aliases: Mapping[str, str] | None = None
    bound: bool = False
