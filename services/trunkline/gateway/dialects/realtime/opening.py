"""Opening a call for whom the keys admit, whatever will carry it: at the agent that its model names, its session told.

What is bound to an ephemeral key comes first, then what the client asks for; but a bound model stands, for the whole
call. So whoever makes a key decides which agent it reaches, and a stock client, which names one of its own, reaches it.
"""

from typing import NamedTuple

import msgspec
from aiohttp import web
from msgspec import UNSET

from trunkline.gateway import metrics
from trunkline.gateway.auth import Admitted, refuse, refuse_input
from trunkline.gateway.call import Call
from trunkline.gateway.calls import Calls
from trunkline.gateway.dialects.realtime.offer import Offer
from trunkline.gateway.dialects.realtime.session import Session, SessionPatch, merge, new_session, read_patch, wishes
from trunkline.proto.errors import BadInput, StageUnavailable


class Opened(NamedTuple):
    """session: effective from the first event on. model: as it was spelt. aliases, bound: see Offer."""

    call: Call
    session: Session
    model: str
    aliases: dict[str, str]
    bound: bool


class Opening:
    """aliases: model name -> agent name, empty for the default."""

    def __init__(self, calls: Calls, aliases: dict[str, str]) -> None:
        self._calls = calls
        self.aliases = aliases

    async def open(
        self, admitted: Admitted, model: str, asked: SessionPatch | None = None, line: str = "websocket"
    ) -> Opened:
        """model, asked: the client's own, as it calls. line: as of `Calls.place`.

        Raises StageUnavailable, KeyRefused, and BadInput: for an unknown agent with code model_not_found, or for a
        session that this agent can't have. Then there is no call.
        """
        bound = bound_to(admitted)
        patches = [patch for patch in (bound, asked) if patch is not None]
        model = next((patch.model for patch in patches if patch.model), model)
        call = await self._calls.place(self.aliases.get(model, model), line, admitted.key)
        try:
            return self._opened(call, model, patches, names_model(bound))
        except BadInput:
            call.end("failed: session refused")
            raise
        except Exception as error:  # the rim of a call: nobody else knows of it yet
            call.fail(error)
            raise

    def _opened(self, call: Call, model: str, patches: list[SessionPatch], bound: bool) -> Opened:
        """Raises BadInput."""
        attached = call.attached
        assert attached is not None, "the call is placed"
        offer = Offer.of(attached, self.aliases, call.speaking.voices, call.listening.languages)
        session = new_session(call.call_id, model, attached.instructions, attached.voice)
        for patch in patches:
            session = merge(session, msgspec.structs.replace(patch, model=UNSET), offer)  # it has its agent
        session = msgspec.structs.replace(session, model=model)
        call.configure(wishes(session, offer))  # nothing is said before its client is there
        return Opened(call, session, model, self.aliases, bound)


def bound_to(admitted: Admitted) -> SessionPatch | None:
    """None for a key that nothing is bound to. Raises BadInput where a later version of the gateway has bound it."""
    return None if admitted.session is None else read_patch(admitted.session)


def names_model(bound: SessionPatch | None) -> bool:
    return bound is not None and bool(bound.model)


def not_opened(error: StageUnavailable | BadInput) -> web.Response:
    """Why there is no call."""
    if isinstance(error, StageUnavailable):
        return overloaded(error)
    metrics.refused.labels(error.code, "").inc()
    return refuse_input(error)


def overloaded(unavailable: StageUnavailable) -> web.Response:
    """The connection ends with it: where gateways share a port, who connects anew may come to another."""
    metrics.refused.labels(unavailable.stage, unavailable.why).inc()
    answer = refuse(503, "overloaded", str(unavailable), retry_after_s=unavailable.retry_after_s)
    answer.force_close()
    return answer
