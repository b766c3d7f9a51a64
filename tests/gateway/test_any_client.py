"""Whatever a client says in whatever order is answered, and its view of the conversation is that of the agent."""

import random
from collections.abc import Sequence

import pytest

from gateway.any_client import AnyClient, NoPictures, Notary, Notes, Recogniser
from gateway.scene import Scene, settle
from support.virtual import run_virtual
from trunkline.gateway.dialects.realtime import events_out
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.gateway.dialects.realtime.peer import Peer
from trunkline.gateway.dialects.realtime.terms import Terms

STEPS = 60
EDITS = ("create", "create", "call", "delete", "truncate", "retrieve", "respond", "cancel", "update")
ALL = (*EDITS, "respond", "answer", "commit", "talk", "talk", "detect", "clear")
PAUSES_S = (0.0, 0.0, 0.05, 0.3, 1.0)


def after(seed: int, acts: Sequence[str], notary: Notary, chance: random.Random, *, pause_s: float = 0.0) -> AnyClient:
    """The client, once all that it has begun is over. pause_s: at least, between two of its acts."""

    async def main() -> AnyClient:
        async with Scene() as scene:
            scene.agent._react = notary.react
            scene.stt._react = Recogniser(chance).react
            call = await scene.calls.place("")
            notes = Notes()
            client = AnyClient(
                Peer(call, notes, NoPictures(), Terms("gpt-realtime", "", Limits(100_000))), notes, scene, chance
            )
            client.peer.greet()
            client.peer.enter()
            client.listens(None)
            for _ in range(STEPS):
                getattr(client, chance.choice(acts))()
                await settle(pause_s + chance.choice(PAUSES_S))
            client.listens(None)
            await settle(60.0)
            assert not call.ended
            call.end("caller_hung_up")
            await settle()
            return client

    return run_virtual(main())


@pytest.mark.parametrize("seed", range(16))
def test_whatever_a_client_does_is_answered_and_each_item_is_told_once(seed: int) -> None:
    chance = random.Random(seed)
    notary = Notary(chance, items=2, asks=0.2)

    client = after(seed, ALL, notary, chance)

    notes, items = client.notes, client.items
    begun = [event["response"]["id"] for event in notes.of("response.created")]
    refused = {event["error"].get("event_id") for event in notes.of("error")}
    added = [event["item"]["id"] for event in notes.of("conversation.item.added")]
    assert client.peer.responses.unanswered == {}
    assert sorted(begun) == sorted({event["response"]["id"] for event in notes.of("response.done")})
    assert len(begun) >= len(set(client.asked) - refused)
    assert sorted(added) == sorted([*items, *(event["item_id"] for event in notes.of("conversation.item.deleted"))])
    assert sorted(added) == sorted(event["item"]["id"] for event in notes.of("conversation.item.done"))
    assert notary.view.strays == 0


@pytest.mark.parametrize("seed", range(16))
def test_what_a_client_adds_and_deletes_stands_in_the_agent_s_order(seed: int) -> None:
    chance = random.Random(seed)
    notary = Notary(chance, items=1, asks=0.0)

    client = after(seed, EDITS, notary, chance, pause_s=0.03)

    items = client.peer.projection.items
    assert [item.id for item in items if not isinstance(item, events_out.FunctionOutput)] == notary.order()
