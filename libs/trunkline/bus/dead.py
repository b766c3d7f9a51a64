"""What arrives and can't be read: a message of a later release is skipped, other bytes are shown on the dead subject.

Either is counted, and nobody is disconnected for it.
"""

from collections.abc import Callable

from prometheus_client import Counter

from trunkline.bus.port import Bus, Handler, Headers, Received
from trunkline.proto import subjects
from trunkline.proto.envelope import Envelope, decode
from trunkline.proto.errors import Undecodable, UnknownTag
from trunkline.proto.subjects import Stage
from trunkline.telemetry import logs

DEAD_BYTES = 1024  # of an undecodable message that are shown on the dead subject
REASON_CHARACTERS = 200

log = logs.get(__name__)
_unknown = Counter("trunkline_bus_unknown_tags_total", "Messages of a later release, skipped")
_dead = Counter("trunkline_bus_undecodable_total", "Messages that could not be decoded")


def bury(bus: Bus, stage: Stage, received: Received, reason: str) -> None:
    _dead.inc()
    log.warning("undecodable message", subject=received.subject, size_bytes=len(received.data), reason=reason)
    one_line = " ".join(reason.split())[:REASON_CHARACTERS]
    bus.publish(subjects.dead(stage), received.data[:DEAD_BYTES], headers={"Reason": one_line})


def skip(unknown: UnknownTag) -> None:
    _unknown.inc()
    log.warning("unknown message skipped", tag=unknown.tag, call_id=unknown.call, sender=unknown.sender)


def decoded(bus: Bus, stage: Stage, handle: Callable[[Envelope, Headers | None], None]) -> Handler:
    """For a subscription beside a worker's inbox: handle gets what can be read."""

    def receive(received: Received) -> None:
        try:
            envelope = decode(received.data)
        except UnknownTag as unknown:
            skip(unknown)
        except Undecodable as error:
            bury(bus, stage, received, error.reason)
        else:
            handle(envelope, received.headers)

    return receive
