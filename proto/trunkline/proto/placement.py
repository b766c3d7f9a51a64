"""Who serves a call: heartbeats of workers, and the answers of a worker to a placement."""

from typing import Literal

import msgspec

from trunkline.proto.ids import is_request_id

DeclineReason = Literal["full", "draining", "unknown_agent", "superseded", "unready", "bad_request"]


class Beat(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A worker's heartbeat, every BEAT_S; a worker unheard for BEAT_LIMIT_S takes no new call.

    One without a call, and a gateway, beats every IDLE_BEAT_S; without a call that limit is IDLE_LIMIT_S.

    capacity: calls it can take, 0 for no limit. digest: of the agent file (agent, tool_runner).
    admin_port: of its health and metrics endpoint, on the worker's own host. agents: that can be called there (agent).
    node: name of the NATS server that it uses; empty of who doesn't tell. slow_shards: of the record, that keep it
    waiting for an acknowledgement (agent). wire: its version; 0 of who doesn't tell.
    """

    stage: str
    worker: str
    calls: int
    capacity: int
    draining: bool
    version: str
    digest: str = ""
    pid: int = 0
    admin_port: int = 0
    agents: tuple[str, ...] = ()
    node: str = ""
    slow_shards: tuple[int, ...] = ()
    wire: int = 0


def limit_of(capacity: int, call: str) -> int:
    """Calls and requests at a time up to which a worker takes this one; 0: no limit. A quarter is for calls alone."""
    return capacity - capacity // 4 if is_request_id(call) else capacity


BEAT_S = 0.15
IDLE_BEAT_S = 0.4  # of a worker without a call, which beats at once when one is placed there; and of a gateway
BEAT_LIMIT_S = 0.45
IDLE_LIMIT_S = BEAT_LIMIT_S + 2 * (IDLE_BEAT_S - BEAT_S)


class Accepted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="accepted"):
    """STT or TTS -> gateway: the call is placed here and audio may come. (The agent says Attached.)

    voices: that TTS has. languages: that STT knows, ISO 639-1. Either is empty of who doesn't tell.
    """

    voices: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


class Declined(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="declined"):
    """Any worker -> gateway: not here; a full or draining worker is an answer, not an error."""

    reason: DeclineReason
    detail: str = ""
    retry_after_s: float = 1.0


class Release(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="release"):
    """Gateway -> any worker: forget this call. The agent writes the call's end for any reason but `moved`."""

    reason: str


class CallFailed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="call_failed"):
    """Any worker -> gateway: this worker can't go on with the call (it is contained there).

    Also the answer, outside the sequence, to a message for a placement that the worker doesn't have (any more).
    """

    reason: str


class Superseded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="superseded"):
    """Any worker -> gateway: a later placement has the call; this one does nothing more. Outside the sequence.

    Gateway -> the gateway that had the call before (envelope's attach 0): it is served there now.

    attach: of the placement that has it. If its hub number is higher than the receiver's, another gateway has the call.
    """

    attach: int


class HangUpCall(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="hang_up_call"):
    """Gateway -> the gateway that has the call (envelope's attach 0): it was asked over HTTP to end it.

    Unlike `HangUp`, which is the agent's word, it waits for nothing that is still to be said.
    """


class Acknowledge(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ack"):
    """Either way: carries only the envelope's cumulative ack; its own seq is 0 and is never acknowledged.

    gap: something after `ack` has arrived already, so what lies between is lost: send it again now.
    """

    gap: bool = False
