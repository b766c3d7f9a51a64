"""A client comes back to its call: it is told what it lacks, and what it asked the gateway before is done.

Rule: what the record has happened, and is not done again.
"""

from functools import partial

import msgspec

from trunkline.gateway.asking import already_active
from trunkline.gateway.dialects.realtime import events_out, restoring
from trunkline.gateway.dialects.realtime.events_in import NULL
from trunkline.gateway.dialects.realtime.peer import Peer
from trunkline.gateway.dialects.realtime.resume_event import SAMPLES_PER_MS, ResumeEvent, TypedItem
from trunkline.gateway.resuming import TakenUp, is_told_again
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import is_id


def restore(peer: Peer, taken: TakenUp, told: ResumeEvent | None) -> None:
    """Before the call starts again. told: by a client of ours."""
    peer.has_greeted()
    peer.named |= taken.view.responses.keys()
    if told is None:
        for event in restoring.restore(peer.projection, taken.view):
            peer.send(event)
        return
    peer.call.pass_over(taken.view.responses.keys() - set(told.responses))
    begun = {one.item_id for one in told.begun}
    opened = [*told.responses, *({told.respond_id} & taken.view.responses.keys())]
    outputs = {one.call_id: one.item_id for one in told.outputs if is_id(one.item_id)}
    events = restoring.restore_ours(peer.projection, taken.view, begun, opened, outputs)
    from_ms = taken.audio_from // SAMPLES_PER_MS
    peer.send(events_out.Resumed(event_id=peer.next_event_id(), audio_from_ms=from_ms))
    for event in events:
        peer.send(event)


def make_up(peer: Peer, taken: TakenUp, told: ResumeEvent) -> None:
    """What the client asked the gateway before, and the record lacks, in that order."""
    for update in told.unanswered:
        peer.backlog.put(partial(peer.receive, bytes(update)))
    for one in told.typed:
        peer.backlog.put(partial(_type, peer, one))
    peer.backlog.put(partial(_give_outputs, peer, taken, told))
    peer.backlog.put(partial(_ask_again, peer, taken, told))


def _type(peer: Peer, one: TypedItem) -> None:
    if not is_id(one.item_id) or one.item_id in peer.projection.items:
        return
    if one.content != NULL:
        item = {"type": "message", "id": one.item_id, "role": "user", "content": one.content}
        created = {"type": "conversation.item.create", "event_id": one.event_id or None, "item": item}
        peer.receive(msgspec.json.encode(created))
        return
    try:
        peer.items.type(one.item_id, one.text)
    except BadInput as error:
        peer.send_error(error, one.event_id or None)


def _give_outputs(peer: Peer, taken: TakenUp, told: ResumeEvent) -> None:
    for given in told.outputs:
        known = taken.view.tools.get(given.call_id)
        recorded = known is not None and bool(known.runner)
        if is_id(given.item_id) and not recorded and given.item_id not in peer.projection.items:
            try:
                peer.items.answer(given.item_id, given.call_id, given.output)
            except BadInput as error:
                peer.send_error(error, given.event_id or None)


def _ask_again(peer: Peer, taken: TakenUp, told: ResumeEvent) -> None:
    view = taken.view
    if told.respond is None or told.respond_id in view.responses:
        return
    name = peer.new_name(told.respond_id)
    if not name and any(is_told_again(view, response) for response in view.responses.values()):
        return  # that may be it
    cut = {one.response_id for one in told.cancelled}
    try:
        if any(one.status is None and one.id not in cut for one in view.responses.values()):
            raise already_active()
        options = msgspec.json.encode({"instructions": told.respond})
        peer.responses.create(options, told.respond_id or None, name)
    except BadInput as error:
        peer.send_error(error, told.respond_id or None)
