"""`trunkline show`: one call's record, as a conversation for people or as JSON."""

import argparse

import msgspec

from trunkline.cli import api, record_json, stack
from trunkline.cli.record_json import CallRecord, Event, ImageLine, ItemLine, ToolLine
from trunkline.proto.audio import CALLER_RATE_HZ


def show(parsed: argparse.Namespace) -> int:
    path = record_json.path(parsed.call)
    body = api.get(stack.find(parsed), path)
    record = msgspec.json.decode(body, type=CallRecord)
    print(msgspec.json.format(body).decode() if parsed.json else "\n".join(readable(record)))
    return 0


def readable(record: CallRecord) -> list[str]:
    """Messages and tools in the order of the record."""
    items = {item.id: item for item in record.items}
    tools = {tool.id: tool for tool in record.tools}
    lines = [f"call {record.call_id}"]
    for event in record.events:
        lines += _event_lines(event, items, tools)
    return lines


def _event_lines(event: Event, items: dict[str, ItemLine], tools: dict[str, ToolLine]) -> list[str]:
    match event["type"]:
        case "user_item" | "assistant_item" if event["item"] in items:
            return _item_lines(event, items[str(event["item"])])
        case "inserted":
            return _inserted_lines(event, items, tools)
        case "intent" if not tools[str(event["tool_call"])].approval:
            return [_tool_line(event, tools)]
        case "result" if tools[str(event["tool_call"])].approval:  # what was asked and decided stands before it
            return [_tool_line(event, tools)]
        case "owner":
            return [_owner_line(event)]
        case "attached":
            return [f"{_time(event)}  gateway hub {event['hub']}: {event['gateway']}"]
        case "moved":
            return [f"{_time(event)}  {event['stage']:<7} {event['worker']} from here on ({event['reason']})"]
        case "audio_lost":
            return [f"{_time(event)}  lost    the caller's audio from {_seconds(event['from_sample'])} s on"]
        case "ended":
            return [f"{_time(event)}  ended   {event['reason']}"]
    return [f"{_time(event)}  {line}" for line in _policy_lines(event)]


def _inserted_lines(event: Event, items: dict[str, ItemLine], tools: dict[str, ToolLine]) -> list[str]:
    """What the client added: a message, a tool call; an output stands with its call."""
    added = event["item"]
    if not isinstance(added, dict):
        return []
    if added["item"] in items:
        return _item_lines(event, items[added["item"]])
    if added["kind"] == "function_call" and added["call_id"] in tools:
        return [_tool_line(event | {"tool_call": added["call_id"]}, tools)]
    return []


def _tool_line(event: Event, tools: dict[str, ToolLine]) -> str:
    tool = tools[str(event["tool_call"])]
    return f"{_time(event)}  tool    {tool.status or 'running':<12}  {tool.name} {tool.arguments} -> {tool.result}"


def _policy_lines(event: Event) -> list[str]:
    """Verdicts, approvals, handoffs: what was decided about words and tools."""
    match event["type"]:
        case "verdict" if event["action"] != "allow":
            to = f" -> {event['to']}" if event["to"] else ""
            return [f"policy  {event['action']:<12}  {event['point']}, by {event['guardrail']}: {event['reason']}{to}"]
        case "approval_asked":
            what = f"{event['name']} {event['text']}" if event["kind"] == "tool" else event["text"]
            return [f"asked   {event['kind']:<12}  {what} ({event['approval']})"]
        case "approval_decided":
            edited = f"; said instead: {event['text']}" if event["text"] is not None else ""
            note = f" ({event['note']})" if event["note"] else ""
            by = f"by {event['by']}" if event["by"] else "by nobody"
            return [f"decided {event['decision']:<12}  {by}{note}{edited}"]
        case "handoff":
            return [f"handoff {event['to']:<12}  {event['reason']}".rstrip()]
        case "transfer":
            return [f"wanted  transfer      {event['target']} {event['summary']}".rstrip()]
    return []


def _owner_line(event: Event) -> str:
    why = f" ({event['reason']})" if event.get("reason") else ""
    return f"{_time(event)}  owner   epoch {event['epoch']}: {event['worker']}, agent {event['agent']}{why}"


def _item_lines(event: Event, item: ItemLine) -> list[str]:
    who = {"user": "caller", "assistant": "agent"}.get(item.role, item.role)
    lines = [f"{_time(event)}  {who:<6}  {item.phase or '':<12}  {item.text}".rstrip()]
    lines += [f"{'':<16}(shown: {_picture(image)})" for image in item.images]
    if item.status != "completed":
        lines.append(f"{'':<16}({item.status}; heard: {item.heard_text or 'nothing'})")
    return lines


def _picture(image: ImageLine) -> str:
    return (
        f"{image.media_type}, {image.width} x {image.height}, {image.size} bytes, detail {image.detail}, {image.file}"
    )


def _time(event: Event) -> str:
    return str(event["at"])[11:23]


def _seconds(samples: object) -> str:
    return f"{int(str(samples)) / CALLER_RATE_HZ:.2f}"
