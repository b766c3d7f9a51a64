"""What waits for a person, and how a person decides, over HTTP. All of it needs a key.

A decision is about exactly what was shown: an approval's id names one tool call's arguments or one answer for good.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from trunkline.gateway import metrics
from trunkline.gateway.apis.bodies import small
from trunkline.gateway.auth import Keys, answer, refuse
from trunkline.gateway.deciding import Deciding
from trunkline.gateway.http import guarded
from trunkline.gateway.validation import explain_validation
from trunkline.proto.approval import ApprovalAnswered, Choice, DecideApproval
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import call_of_approval, is_call_id, new_order_id
from trunkline.record import (
    ApprovalView,
    CallView,
    RecordStore,
    approval_to_json,
    open_approval_to_json,
    read_call,
    standing,
)

OVERDUE_S = 5.0  # that an approval is listed behind its deadline: its owner may be about to decide the default
NAME_CHARACTERS = 100
TEXT_CHARACTERS = 8_000  # of an answer: ten minutes of speech
NOTE_CHARACTERS = 1_000
LOOKS = 4  # at a record that may lag behind the list
LOOK_AGAIN_S = 0.2


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a decision. text: said instead of the answer. shown: what whoever decides saw, as it was listed."""

    decision: Choice
    by: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS)]
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS)] | None = None
    note: Annotated[str, Meta(max_length=NOTE_CHARACTERS)] = ""
    shown: msgspec.Raw = msgspec.Raw(b"")


FIELDS = {
    "decision": "approve, deny",
    "by": f"a name of 1 to {NAME_CHARACTERS} characters in one line",
    "text": f"1 to {TEXT_CHARACTERS} characters that are said instead of the answer; to say nothing, deny it",
    "note": f"up to {NOTE_CHARACTERS} characters",
    "shown": "the arguments or the text as they were listed",
}
_orders = msgspec.json.Decoder(Order)


class Approvals:
    def __init__(
        self,
        keys: Keys,
        store: RecordStore,
        deciding: Deciding,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._keys = keys
        self._store = store
        self._deciding = deciding
        self._wall_us = wall_us

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1/approvals", guarded(self._keys, self._list))
        app.router.add_get("/v1/approvals/{approval}", guarded(self._keys, self._one))
        app.router.add_post("/v1/approvals/{approval}", guarded(self._keys, self._decide))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        """Those that are open, the oldest first."""
        call = request.query.get("call", "")
        if call and not is_call_id(call):
            raise BadInput("call", f"{call[:80]!r} is no call id", "rtc_NN_…")
        overdue_us = self._wall_us() - int(OVERDUE_S * 1e6)
        found = [
            (waiting, summary)
            for summary in await self._store.summaries()
            for waiting in summary.approvals
            if summary.status == "live" and call in ("", summary.call) and waiting.deadline_us > overdue_us
        ]
        found.sort(key=lambda one: one[0].asked_us)
        return answer([open_approval_to_json(waiting, summary.call, summary.agent) for waiting, summary in found])

    async def _one(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["approval"]
        found = await self._find(name)
        return _unknown(name) if found is None else answer(approval_to_json(*found))

    async def _decide(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["approval"]
        body = read_order(await small(request))
        found = await self._find(name)
        if found is None:
            return _unknown(name)
        approval, view = found
        if not _as_shown(body.shown, approval):
            return refuse(409, "not_as_shown", f"{name} is about something else than what was shown", param="shown")
        order = DecideApproval(name, body.decision, body.by, body.text, body.note, new_order_id())
        stands = standing(view, order) or await self._deciding.decide(view.call, order)
        metrics.decisions.labels("unanswered" if stands is None else stands.outcome).inc()
        if stands is None:
            told = "nobody answered; it may have been decided: look again"
            return refuse(503, "undecided", told, retry_after_s=1.0)
        return _told(name, stands)

    async def _find(self, approval: str) -> tuple[ApprovalView, CallView] | None:
        """Raises StoreUnavailable, and what a record raises that can't be read."""
        call = call_of_approval(approval)
        for look in range(LOOKS if call else 0):
            if look:
                await asyncio.sleep(LOOK_AGAIN_S)
            found = await read_call(self._store, call)
            if found is not None and approval in found[0].approvals:
                return found[0].approvals[approval], found[0]
        return None


def read_order(body: bytes) -> Order:
    """Raises BadInput."""
    try:
        order = _orders.decode(body)
    except msgspec.ValidationError as error:
        cause = explain_validation(error)
        allowed = FIELDS.get(cause.param, ", ".join(FIELDS))
        raise BadInput(cause.param, cause.problem, allowed, code=cause.code) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadInput("", "the body is not JSON", 'an object like {"decision": "approve", "by": "anna"}') from error
    if not order.by.strip() or not order.by.isprintable():
        raise BadInput("by", "is no name", FIELDS["by"])
    if order.text is not None and not order.text.strip():
        raise BadInput("text", "says nothing", FIELDS["text"])
    return order


def _as_shown(shown: msgspec.Raw, approval: ApprovalView) -> bool:
    """A tool call's arguments as JSON, whatever the spelling, or as their exact text; an answer as its exact text."""
    if not bytes(shown):
        return True
    value: object = msgspec.json.decode(shown)
    if value == approval.asked.text:
        return True
    return approval.asked.kind == "tool" and _spelt(value) == _spelt(msgspec.json.decode(approval.asked.text))


def _spelt(value: object) -> bytes:
    """One spelling for each JSON value: 1, 1.0 and true are three."""
    return msgspec.json.encode(value, order="sorted")


def _unknown(approval: str) -> web.Response:
    return refuse(404, "approval_not_found", f"no approval {approval[:140]!r}", param="id")


def _told(approval: str, stands: ApprovalAnswered) -> web.Response:
    match stands.outcome:
        case "decided":
            told = {"id": approval, "decision": stands.decision, "by": stands.by, "outcome": stands.outcome}
            return answer(told)
        case "decided_before":
            return refuse(409, "already_decided", _how(stands), facts={"decision": stands.decision, "by": stands.by})
        case "unknown":
            return _unknown(approval)
        case _:
            param, colon, detail = stands.detail.partition(": ")
            return refuse(400, "invalid_value", detail if colon else stands.detail, param=param if colon else None)


def _how(stands: ApprovalAnswered) -> str:
    if stands.by:
        return f"{stands.decision} before, by {stands.by}"
    if stands.decision == "withdrawn":
        return stands.detail or "withdrawn: nobody needs it any more"
    return f"{stands.decision}: its time was over"
