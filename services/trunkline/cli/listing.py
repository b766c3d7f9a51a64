"""`trunkline ps` and `trunkline calls`: tables of what a gateway tells, or its JSON."""

import argparse

import msgspec

from trunkline.cli import api, record_json, stack


class WorkerLine(msgspec.Struct, frozen=True):
    """capacity: 0 for no limit. digest: of the agent file, empty where there is none."""

    stage: str
    worker: str
    pid: int
    calls: int
    capacity: int
    draining: bool
    version: str
    digest: str = ""


class CallLine(msgspec.Struct, frozen=True):
    """ended_at: null while the call goes on. Times: ISO 8601, UTC."""

    call_id: str
    started_at: str
    ended_at: str | None
    turns: int
    agent: str


def ps(parsed: argparse.Namespace) -> int:
    body = api.get(stack.find(parsed), "/v1/workers")
    workers = msgspec.json.decode(body, type=list[WorkerLine])
    return _print(parsed, workers, list(WorkerLine.__struct_fields__), "no workers")


def calls(parsed: argparse.Namespace) -> int:
    if parsed.delete:
        body = api.delete(stack.find(parsed), record_json.path(parsed.delete))
        print(body.decode() if parsed.json else f"deleted {parsed.delete}")
        return 0
    body = api.get(stack.find(parsed), "/v1/calls")
    lines = msgspec.json.decode(body, type=list[CallLine])
    return _print(parsed, lines, list(CallLine.__struct_fields__), "no calls on record")


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Columns as wide as their widest cell, two spaces between."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return [line.rstrip() for line in lines]


def _print(
    parsed: argparse.Namespace, lines: list[WorkerLine] | list[CallLine], fields: list[str], nothing: str
) -> int:
    if parsed.json:
        print(msgspec.json.format(msgspec.json.encode(lines)).decode())
    elif lines:
        cells = [[_cell(getattr(line, field)) for field in fields] for line in lines]
        print("\n".join(table([field.upper() for field in fields], cells)))
    else:
        print(nothing)
    return 0


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in ("", None) else str(value)
