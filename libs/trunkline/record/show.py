"""The JSON of a call's record: `trunkline show --json`, `GET /v1/calls/<id>` and a line of `trunkline calls --json`.

Keys are only ever added. An event carries its type and its Struct's fields by name; its at_us is shown as `at`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from trunkline.proto.approval import OpenApproval
from trunkline.proto.image import ShownImage
from trunkline.proto.record import CallSummary, Event
from trunkline.proto.response import Asked, Inserted
from trunkline.record.fold import RecordedEvent
from trunkline.record.parts import ApprovalView, ItemView, ToolView
from trunkline.record.view import CallView

Json = dict[str, object]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_json(view: CallView, events: Iterable[RecordedEvent]) -> Json:
    """Made of what JSON has: dicts, lists, text, numbers, None."""
    return {
        "call_id": view.call,
        "agent": view.agent,
        "started_at": _iso(view.started_us),
        "ended_at": _iso(view.ended.at_us) if view.ended else None,
        "end_reason": view.ended.reason if view.ended else None,
        "events": [_event(recorded) for recorded in events],
        "items": [_item(item, view) for item in view.items.values()],
        "tools": [_tool(tool, view) for tool in view.tools.values()],
        "approvals": [approval_to_json(approval, view) for approval in view.approvals.values()],
    }


def summary_to_json(summary: CallSummary) -> Json:
    """ended_at: None while the call goes on."""
    return {
        "call_id": summary.call,
        "started_at": _iso(summary.started_us),
        "ended_at": _iso(summary.ended_us) if summary.ended_us else None,
        "turns": summary.turns,
        "agent": summary.agent,
    }


def open_approval_to_json(waiting: OpenApproval, call: str, agent: str) -> Json:
    """text: the exact arguments or the exact answer; arguments: what the former say, None for an answer."""
    return {
        "id": waiting.approval,
        "call_id": call,
        "agent": agent,
        "kind": waiting.kind,
        "tool": waiting.name or None,
        "arguments": _value(waiting.text) if waiting.kind == "tool" else None,
        "text": waiting.text,
        "asked_at": _iso(waiting.asked_us),
        "deadline": _iso(waiting.deadline_us),
        "default": waiting.default,
    }


def approval_to_json(approval: ApprovalView, view: CallView) -> Json:
    """decision and what follows it: None while it waits. by: empty if nobody decided."""
    decided = approval.decided
    return open_approval_to_json(approval.open(), view.call, view.agent) | {
        "decision": decided.decision if decided else None,
        "by": decided.by if decided else None,
        "edited": decided.text if decided else None,
        "note": decided.note if decided else None,
        "decided_at": _iso(decided.at_us) if decided else None,
    }


def _iso(at_us: int) -> str:
    """at_us: microseconds of wall time. ISO 8601, UTC."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _event(recorded: RecordedEvent) -> Json:
    event = recorded.event
    head: Json = {"i": recorded.i, "type": _type(event), "epoch": recorded.epoch, "at": _iso(event.at_us)}
    return head | {name: _field(getattr(event, name)) for name in event.__struct_fields__ if name != "at_us"}


def _field(value: object) -> object:
    """What a client asked for or showed is told by its fields' names."""
    match value:
        case Inserted() | Asked() | ShownImage():
            return {name: _field(getattr(value, name)) for name in value.__struct_fields__}
        case tuple():
            return [_field(one) for one in value]
        case _:
            return msgspec.to_builtins(value)


def _type(event: Event) -> str:
    return str(event.__struct_config__.tag)


def _item(item: ItemView, view: CallView) -> Json:
    return {
        "id": item.id,
        "role": item.role,
        "phase": item.phase,
        "text": item.text,
        "heard_text": item.heard_text,
        "status": item.status,
        "source": item.source,
        "turn": item.turn,
        "response": item.response or None,
        "agent": None if item.role == "user" or item.source == "client" else item.agent or view.agent,
        "images": [_image(image) for image in item.images],
    }


def _image(image: ShownImage) -> Json:
    """file: its id in the file store. at: characters of the text before it."""
    return {
        "file": image.file,
        "at": image.at,
        "detail": image.detail,
        "media_type": image.media_type,
        "width": image.width,
        "height": image.height,
        "bytes": image.size,
    }


def _tool(tool: ToolView, view: CallView) -> Json:
    """status and result: None while it runs. approval: id of the one that it waited for."""
    response = view.responses.get(tool.response)
    return {
        "id": tool.id,
        "name": tool.name,
        "arguments": _value(tool.arguments),
        "status": tool.status,
        "result": _value(tool.output) if tool.status else None,
        "turn": response.turn if response else 0,
        "response": tool.response,
        "elapsed_ms": tool.elapsed_ms,
        "runs": tool.runs,
        "approval": tool.approval or None,
    }


def _value(text: str) -> object:
    """What the JSON in text says; text that is no JSON stands for itself (an error in words)."""
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value
