"""What a client that comes back finds of the items that it added, deleted, or was told out of band."""

from collections.abc import Awaitable, Callable

from gateway.past_call import CALL, LAST, events
from gateway.scene import settle
from gateway.socket_scene import KEY, Caller, Event, Server
from support.virtual import run_over_sockets
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.proto import record as rec
from trunkline.proto import response as r

TOKEN = ResumeTokens("", [KEY, "sk-other"]).issue(CALL)
STANDS = {"settled_ms": 4000, "kept_from_ms": 4000, "end_ms": 5000}


def changed() -> list[rec.Event]:
    """The past call, with what its client made of it since."""
    return [
        *events(heard_out=True),
        rec.ItemInserted(20, r.Inserted("message", "s1", "system", "Be quick."), r.ROOT),
        rec.ItemInserted(21, r.Inserted("function_call", "f1", text="{}", call_id="call_x", name="look"), "item_u1"),
        rec.ItemInserted(22, r.Inserted("function_call_output", "o1", text="seen", call_id="call_x")),
        rec.ItemInserted(23, r.Inserted("function_call", "f2", text="{}", call_id="call_y", name="look"), "o1"),
        rec.ItemInserted(24, r.Inserted("message", "a9", "assistant", "Noted.", "commentary"), "item_a1"),
        rec.ItemDeleted(25, "item_u2"),
        rec.ResponseOpened(26, "resp_x", 0, asked=r.Asked(aside=True)),
        rec.AssistantItem(27, "resp_x", "item_x", "final_answer", "model"),
        rec.SegmentSaid(28, "item_x", 0, "Aside."),
        rec.ItemClosed(29, "item_x"),
        rec.ResponseClosed(30, "resp_x", "completed"),
        rec.PlayedOut(31, "item_x", 0, 24_000),
    ]


def back(scenario: Callable[[Server, Caller], Awaitable[None]], *more: rec.Event, **told: object) -> None:
    """told: by a client of ours, where it stands; a stock client says nothing."""

    async def main() -> None:
        async with Server() as server:
            entry = rec.RecordEntry(rec.RECORD_VERSION, 1, 0, "entry_1", [*changed(), *more])
            await server.store.append(CALL, rec.encode_entry(entry), expected_seq=0, entry="entry_1")
            async with server.connect(token=TOKEN, ours=bool(told)) as caller:
                if told:
                    await caller.send(type="trunkline.resume", **told)
                await scenario(server, caller)

    run_over_sockets(main())


async def restored(caller: Caller, count: int) -> list[Event]:
    while len(done := [e for e in caller.seen if e["type"] == "conversation.item.done"]) < count:
        await caller.next()
    return done


async def output_of(caller: Caller, call_id: str) -> Event:
    item = {"type": "function_call_output", "id": f"out_{call_id}", "call_id": call_id, "output": "more"}
    await caller.send(type="conversation.item.create", item=item)
    while (event := await caller.next())["type"] not in ("error", "conversation.item.done"):
        pass
    return event


def test_a_stock_client_finds_all_in_the_order_that_it_made() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        told = await restored(caller, 8)

        order = ["s1", "item_u1", "f1", "o1", "f2", "item_a1", "a9", LAST]
        assert [event["item"]["id"] for event in told] == order
        assert [event["previous_item_id"] for event in told] == [None, *order[:-1]]
        assert told[0]["item"]["content"] == [{"type": "input_text", "text": "Be quick."}]
        assert told[2]["item"]["name"] == "look"
        assert told[3]["item"]["output"] == "seen"
        assert (told[6]["item"]["content"], told[6]["item"]["phase"], told[6]["item"]["status"]) == (
            [{"type": "output_text", "text": "Noted."}],
            "commentary",
            "completed",
        )
        for gone in ("item_u2", "item_x"):
            await caller.send(type="conversation.item.retrieve", item_id=gone)
            assert (await caller.error())["code"] == "item_retrieve_invalid_item_id"

    back(scenario)


def test_a_call_that_the_client_added_is_answered_at_the_next_gateway_once() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await restored(caller, 8)
        known = await output_of(caller, "call_x")
        given = await output_of(caller, "call_y")
        await settle()

        assert "has its output" in known["error"]["message"]
        assert given["item"]["output"] == "more"
        told = server.scene.agent.last
        assert told.all(r.Insert) == [
            r.Insert(r.Inserted("function_call_output", "out_call_y", text="more", call_id="call_y"))
        ]
        assert told.all(r.ToolOutput) == []

    back(scenario)


def test_a_response_with_a_message_that_was_deleted_ends_without_it() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        done = await caller.until("response.done")

        assert done["response"]["id"] == "resp_1"
        assert done["response"]["output"] == []

    back(scenario, rec.ItemDeleted(40, "item_a1"), **STANDS, responses=["resp_1"])


def test_an_end_out_of_band_that_a_client_missed_is_told_out_of_band() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        done = await caller.until("response.done")

        assert "conversation_id" not in done["response"]
        [item] = done["response"]["output"]
        assert item["id"] == "item_x"
        added = [event["item"]["id"] for event in caller.seen if event["type"] == "conversation.item.added"]
        assert "item_x" not in added

    got = [{"item_id": "item_x", "segment": 0, "samples": 24_000}]
    back(scenario, **STANDS, responses=["resp_x"], received=got)
