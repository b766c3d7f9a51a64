"""What a client that comes back is told of the call so far, and what the gateway's view of its items begins with. Pure.

What the agent is going to say again isn't told here. A client of ours drops whatever it knows.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from trunkline.gateway import call_events as call
from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.items import function_call, function_output, message, user_parts
from trunkline.gateway.dialects.realtime.projection import Projection
from trunkline.gateway.resuming import is_said_again, is_told_again
from trunkline.record import CallView, ItemView, ResponseView, ToolView

TOLD_ITEMS = 200  # the newest: a client that needs older ones asks for them
TOLD_OURS = 32  # to a client that has nearly all


def restore(projection: Projection, view: CallView) -> list[out.Told]:
    """For a client that knows nothing: the items so far."""
    return list(_items(projection, view, TOLD_ITEMS))


def restore_ours(
    projection: Projection,
    view: CallView,
    begun: Collection[str],
    opened: Sequence[str],
    outputs: Mapping[str, str],
) -> list[out.Told]:
    """For a client of ours. begun: utterances, by item, whose words it lacks. opened: responses whose end it lacks.

    outputs: ids of its items with what came of tools that it carried out, by tool call.
    """
    told: list[out.Told] = list(_items(projection, view, TOLD_OURS, outputs))
    for item in list(view.items.values())[-TOLD_OURS:]:
        if item.role == "user" and item.source == "speech":
            told += _words(projection, view, item, item.id in begun)
    for name in opened:
        response = view.responses.get(name)
        if response is None:
            told += projection.translate(call.ResponseOpened(name, True))
            told += projection.translate(call.ResponseEnded(name, "incomplete"))
        elif not is_told_again(view, response):
            told += _end(projection, view, response)
    return told


def _items(
    projection: Projection, view: CallView, newest: int, outputs: Mapping[str, str] | None = None
) -> Iterator[out.ServerEvent]:
    """outputs: None for a client that needs to be told its own as well."""
    for name, response in view.responses.items():
        calls = [tool.call_item for key in response.tools if _is_told(tool := view.tools[key])]
        projection.know_response(name, [*response.items, *calls])
        if response.aside:
            projection.expect(name, msgspec.structs.replace(projection.manner, aside=True))
    untold = len(view.items) - newest
    told = list(_tools(view, "", outputs))
    for number, item in enumerate(view.items.values()):
        if view.is_aside(item.response):
            continue
        told.append((_item(item), not is_said_again(view, item)))
        told += _tools(view, item.id, outputs)
        yield from _tell(projection, told, newest=number >= untold)
        told = []
    yield from _tell(projection, told, newest=True)


def _tell(
    projection: Projection, told: Sequence[tuple[out.AnyItem, bool]], *, newest: bool
) -> Iterator[out.ServerEvent]:
    """told: items, and whether the client is to be told of them."""
    for made, wanted in told:
        if newest and wanted:
            yield from projection.add(made)
        else:
            projection.know_item(made)


def _is_told(tool: ToolView) -> bool:
    """A call that the client was asked and has answered, or that it added itself, and that it hasn't deleted."""
    return tool.runs == "client" and not tool.call_deleted and bool(tool.runner or not tool.response)


def _tools(view: CallView, item: str, outputs: Mapping[str, str] | None) -> Iterator[tuple[out.AnyItem, bool]]:
    """Those behind this message, "" for none, with their outputs."""
    for tool in view.tools_behind(item):
        if not _is_told(tool) or view.is_aside(tool.response):
            continue
        yield function_call(tool.id, tool.name, tool.arguments, tool.call_item), True
        if tool.has_output:
            name = (outputs or {}).get(tool.id, tool.output_item)
            yield function_output(name, tool.id, tool.output), outputs is None


def _item(item: ItemView) -> out.Item:
    text = item.heard_text
    match item.role, item.source:
        case "user", "speech":
            parts = [out.Part("input_audio", transcript=text)]
        case "assistant", "client":
            parts = [out.Part("output_text", text=text)]
        case "assistant", _:
            parts = [out.Part("output_audio", transcript=text)]
        case _:
            parts = user_parts(text, item.images)
    whole = item.role != "assistant" or item.status == "completed"
    return message(item.id, item.role, parts, status="completed" if whole else "incomplete", phase=item.phase)


def _words(projection: Projection, view: CallView, item: ItemView, begun: bool) -> list[out.Told]:
    told: list[out.Told] = []
    if begun:
        told += projection.translate(call.SpeechEnded(item.id, view.heard_to))
        previous = projection.items.before(item.id)
        told.append(out.Committed(event_id=projection.event_id(), item_id=item.id, previous_item_id=previous))
    return told + projection.translate(call.Transcribed(item.id, item.text, 0.0))


def _end(projection: Projection, view: CallView, response: ResponseView) -> list[out.Told]:
    told = projection.translate(call.ResponseOpened(response.id, True))
    for name in response.items:
        if (item := view.items.get(name)) is not None:
            told += projection.translate(call.ItemOpened(response.id, name, item.phase))
            told += projection.translate(call.ItemEnded(response.id, name, item.phase, item.status == "completed"))
    status = response.status or "incomplete"
    return told + projection.translate(call.ResponseEnded(response.id, status, response.reason))
