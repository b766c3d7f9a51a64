"""`trunkline approvals`: what waits for a person, and that person's decision.

Whatever a caller or a model wrote is shown with its invisible characters spelt out: one decides over what one sees.
"""

import argparse
import getpass
import time
from datetime import datetime

import msgspec

from trunkline.cli import api, stack
from trunkline.cli.errors import NotDecided, Refused
from trunkline.proto.approval import ApprovalKind, Choice
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import call_of_approval, is_call_id

WAIT_S = 20.0  # for a decision: longer than a gateway waits for the agent
UNDECIDED = (404, 409, 503)


class ApprovalLine(msgspec.Struct, frozen=True):
    """As GET /v1/approvals gives it. text: the exact arguments (JSON) or the exact answer. Times: ISO 8601, UTC."""

    id: str
    call_id: str
    agent: str
    kind: ApprovalKind
    tool: str | None
    arguments: object
    text: str
    asked_at: str
    deadline: str
    default: Choice


class Decided(msgspec.Struct, frozen=True):
    id: str
    decision: str
    by: str


def approvals(parsed: argparse.Namespace) -> int:
    return _list(parsed) if parsed.action == "list" else _decide(parsed)


def _list(parsed: argparse.Namespace) -> int:
    if parsed.call and not is_call_id(parsed.call):
        raise BadInput("--call", f"{parsed.call!r} is no call id", "one that trunkline calls lists: rtc_NN_…")
    body = api.get(stack.find(parsed), "/v1/approvals" + (f"?call={parsed.call}" if parsed.call else ""))
    waiting = msgspec.json.decode(body, type=list[ApprovalLine])
    if parsed.json:
        print(msgspec.json.format(msgspec.json.encode(waiting)).decode())
    else:
        now_s = time.time()
        print("\n\n".join("\n".join(readable(one, now_s)) for one in waiting) or "nothing waits for approval")
    return 0


def readable(waiting: ApprovalLine, now_s: float) -> list[str]:
    """now_s: wall time."""
    age_s, left_s = now_s - _wall_s(waiting.asked_at), _wall_s(waiting.deadline) - now_s
    then = f"{left_s:.0f} s left, then {waiting.default}" if left_s > 0 else f"time is over: {waiting.default}"
    what = f"tool {waiting.tool}" if waiting.kind == "tool" else "answer"
    head = [waiting.id, f"  call {waiting.call_id}, agent {_visible(waiting.agent)}; asked {age_s:.0f} s ago; {then}"]
    return [*head, f"  {_visible(what)}:", *(f"    {_visible(line)}" for line in _shown(waiting).splitlines())]


def _shown(waiting: ApprovalLine) -> str:
    """The arguments laid out in lines, in the spelling in which they run."""
    if waiting.kind == "answer":
        return waiting.text
    try:
        return msgspec.json.format(waiting.text.encode()).decode()
    except msgspec.MsgspecError:
        return waiting.text


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _wall_s(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def _decide(parsed: argparse.Namespace) -> int:
    if not call_of_approval(parsed.approval):
        raise BadInput("ID", f"{parsed.approval!r} is no approval's id", "one that trunkline approvals list shows")
    order: dict[str, str] = {"decision": parsed.action, "by": parsed.by or _login()}
    order |= {"note": parsed.note} if parsed.note else {}
    order |= {"text": parsed.text} if parsed.action == "approve" and parsed.text is not None else {}
    path = f"/v1/approvals/{parsed.approval}"
    try:
        body = api.post(stack.find(parsed), path, order, wait_s=WAIT_S)
    except Refused as error:
        if error.status == 400:
            raise BadInput("approvals", error.message, "") from error
        if error.status in UNDECIDED:
            raise NotDecided(parsed.approval, error.message) from error
        raise
    decided = msgspec.json.decode(body, type=Decided)
    print(f"{decided.id}: {decided.decision}, by {decided.by}")
    return 0


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise BadInput("--by", "this login has no name", "who decides") from error
