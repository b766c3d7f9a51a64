"""What a client that comes back is told of the call so far, and what the gateway's view of its items begins with. Pure.

What the agent is going to say again isn't told here. A client of ours drops whatever it knows.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from trunkline.gateway import call_events as call
from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.projection import (
    REALTIME_ITEM,
    Projection,
    call_item,
    function_call,
    function_output,
)
from trunkline.gateway.resuming import is_said_again, is_told_again
from trunkline.record import CallView, ItemView, ResponseView, ToolView

TOLD_ITEMS = 200  # the newest: a client that needs older ones asks for them
TOLD_OURS = 32  # to a client that has nearly all


def restore(projection: Projection, view: CallView) -> list[out.ServerEvent]:
    """For a client that knows nothing: the items so far."""
    return list(_items(projection, view, TOLD_ITEMS))


def restore_ours(
    projection: Projection,
    view: CallView,
    begun: Collection[str],
    opened: Sequence[str],
    outputs: Mapping[str, str],
) -> list[out.ServerEvent]:
    """For a client of ours. begun: utterances, by item, whose words it lacks. opened: responses whose end it lacks.

    outputs: ids of its items with what came of tools that it carried out, by tool call.
    """
    told = list(_items(projection, view, TOLD_OURS, outputs))
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
    answered = [tool for tool in view.tools.values() if tool.runs == "client" and tool.runner]
    for name, response in view.responses.items():
        calls = [call_item(tool.id) for tool in answered if tool.response == name]
        projection.know_response(name, [*response.items, *calls])
    untold = len(view.items) - newest
    previous: str | None = None
    for number, item in enumerate(view.items.values()):
        told: list[tuple[out.AnyItem, bool]] = [(_item(item), not is_said_again(view, item))]
        for tool in answered:
            if tool.after == item.id:
                told += [(function_call(tool.id, tool.name, tool.arguments), True), _output(tool, outputs)]
        for made, wanted in told:
            projection.know_item(made)
            if number >= untold and wanted:
                yield out.ItemAdded(event_id=projection.event_id(), item=made, previous_item_id=previous)
                yield out.ItemDone(event_id=projection.event_id(), item=made, previous_item_id=previous)
            previous = made.id


def _output(tool: ToolView, outputs: Mapping[str, str] | None) -> tuple[out.AnyItem, bool]:
    """Under the id that the client gave it, as far as that is known; and whether it is to be told."""
    name = (outputs or {}).get(tool.id, f"{call_item(tool.id)}_output")
    return function_output(name, tool.id, tool.output), outputs is None


def _item(item: ItemView) -> out.Item:
    if item.role == "user":
        kind = "input_audio" if item.source == "speech" else "input_text"
        part = out.Part(kind, transcript=item.text) if item.source == "speech" else out.Part(kind, text=item.text)
    else:
        part = out.Part("output_audio", transcript=item.heard_text)
    return out.Item(
        id=item.id,
        object=REALTIME_ITEM,
        type="message",
        status="completed" if item.role == "user" or item.status == "completed" else "incomplete",
        role=item.role,
        content=[part],
        phase=item.phase,
    )


def _words(projection: Projection, view: CallView, item: ItemView, begun: bool) -> list[out.ServerEvent]:
    told: list[out.ServerEvent] = []
    if begun:
        told += projection.translate(call.SpeechEnded(item.id, view.heard_to))
        told.append(out.Committed(event_id=projection.event_id(), item_id=item.id))
    return told + projection.translate(call.Transcribed(item.id, item.text, 0.0))


def _end(projection: Projection, view: CallView, response: ResponseView) -> list[out.ServerEvent]:
    told = projection.translate(call.ResponseOpened(response.id, True))
    for name in response.items:
        item = view.items[name]
        told += projection.translate(call.ItemOpened(response.id, name, item.phase))
        told += projection.translate(call.ItemEnded(response.id, name, item.phase, item.status == "completed"))
    status = response.status or "incomplete"
    return told + projection.translate(call.ResponseEnded(response.id, status, response.reason))
