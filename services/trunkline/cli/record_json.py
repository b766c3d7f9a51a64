"""A call's record as GET /v1/calls/<id> gives it and `trunkline show --json` prints it (docs/protocol.md)."""

import msgspec

from trunkline.cli import api
from trunkline.cli.stack import Address
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import is_call_id
from trunkline.proto.response import Phase
from trunkline.proto.tool import ToolStatus

Event = dict[str, object]  # i, type, epoch, at, and the fields of the event's Struct in trunkline.proto.record


class ImageLine(msgspec.Struct, frozen=True, rename={"size": "bytes"}):
    """width, height: pixels."""

    file: str
    detail: str
    media_type: str
    width: int
    height: int
    size: int


class ItemLine(msgspec.Struct, frozen=True):
    id: str
    role: str
    phase: Phase | None
    text: str
    heard_text: str
    status: str
    images: tuple[ImageLine, ...] = ()


class ToolLine(msgspec.Struct, frozen=True):
    """status and result: null while it runs. response: id of the one in which it was called."""

    id: str
    name: str
    arguments: object
    status: ToolStatus | None
    result: object
    response: str = ""
    approval: str | None = None


class CallRecord(msgspec.Struct, frozen=True):
    call_id: str
    events: list[Event]
    items: list[ItemLine]
    tools: list[ToolLine]

    @property
    def ended(self) -> bool:
        return any(event["type"] == "ended" for event in self.events)


def path(call_id: str) -> str:
    """Raises BadInput for what can't be a call id."""
    if not is_call_id(call_id):
        raise BadInput("CALL", f"{call_id!r} is no call id", "one that trunkline calls lists: rtc_NN_…")
    return f"/v1/calls/{call_id}"


async def fetch(address: Address, call_id: str) -> CallRecord:
    """Raises GatewaySilent, Refused."""
    return msgspec.json.decode(await api.fetch(address, path(call_id)), type=CallRecord)
