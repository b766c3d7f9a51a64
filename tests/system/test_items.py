"""What a client makes of a conversation, over all services: the model reads it so, and so does the next agent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from support.virtual import run_over_sockets
from system.test_client_tools import Client, record_of
from system.test_session import DESKS, Noting, client
from system.whole import KEY, Whole
from trunkline.agent.models.seam import MessageItem, ModelRequest, ToolCallItem, ToolOutputItem

CREATE, DELETE = "conversation.item.create", "conversation.item.delete"


def message(item: str, text: str, role: str = "user") -> dict[str, object]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "id": item, "role": role, "content": [{"type": kind, "text": text}]}


async def create(mine: Client, item: dict[str, object], **fields: object) -> None:
    await mine.socket.send_json({"type": CREATE, "item": item} | fields)
    await mine.until("conversation.item.done")


async def respond(mine: Client, **options: object) -> dict[str, Any]:
    await mine.socket.send_json({"type": "response.create", "response": options})
    done: dict[str, Any] = (await mine.until("response.done"))["response"]
    return done


@asynccontextmanager
async def again(whole: Whole, token: str) -> AsyncIterator[Client]:
    """At the second gateway, whose first is gone."""
    key = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{whole.addresses[1].realtime}?resume_token={token}", headers=key) as socket,
    ):
        yield Client(socket)


def read(request: ModelRequest) -> list[str]:
    """What the model was given, in short."""
    told = []
    for item in request.items:
        match item:
            case MessageItem(role=role, text=text):
                told.append(f"{role}: {text}")
            case ToolCallItem(name=name):
                told.append(f"call: {name}")
            case ToolOutputItem(output=output):
                told.append(f"output: {output}")
    return told


def test_a_history_is_read_by_the_model_as_the_client_made_it() -> None:
    model = Noting()

    async def main() -> None:
        async with Whole(model=model, agent_file=DESKS) as whole:
            async with client(whole) as mine:
                await create(mine, message("u1", "My name is Ada."))
                await create(mine, message("a1", "Hello Ada.", "assistant"))
                await create(mine, message("u2", "What is my name?"))
                await create(mine, message("s1", "Be brief.", "system"), previous_item_id="root")
                await create(
                    mine,
                    {"type": "function_call", "id": "f1", "call_id": "call_x", "name": "look_up", "arguments": "{}"},
                    previous_item_id="u1",
                )
                await create(mine, {"type": "function_call_output", "call_id": "call_x", "output": "known"})
                await create(mine, message("u0", "Forget this."), previous_item_id="a1")
                await mine.socket.send_json({"type": DELETE, "item_id": "u0"})
                await mine.until("conversation.item.deleted")
                await respond(mine)
            view = await record_of(whole)

        assert read(model.asked[0]) == [
            "system: Be brief.",
            "user: My name is Ada.",
            "call: look_up",
            'output: "known"',
            "assistant: Hello Ada.",
            "user: What is my name?",
        ]
        assert list(view.items)[:4] == ["s1", "u1", "a1", "u2"]

    run_over_sockets(main())


def test_a_response_out_of_band_reads_what_it_is_given_and_leaves_nothing() -> None:
    model = Noting()

    async def main() -> None:
        async with Whole(model=model, agent_file=DESKS) as whole, client(whole) as mine:
            await create(mine, message("u1", "Where is my order?"))
            await create(mine, message("u2", "It was a lamp."))
            reference = {"type": "item_reference", "id": "u2"}
            aside = await respond(
                mine,
                conversation="none",
                instructions="Name the topic.",
                input=[message("x", "Which topic?"), reference],
                output_modalities=["text"],
                metadata={"kind": "topic"},
            )
            nothing = await respond(mine, conversation="none", input=[], output_modalities=["text"])
            answer = await respond(mine)

        assert read(model.asked[0]) == ["user: Which topic?", "user: It was a lamp."]
        assert model.asked[0].instructions.endswith("Name the topic.")
        assert read(model.asked[1]) == []
        assert read(model.asked[2]) == ["user: Where is my order?", "user: It was a lamp."]
        assert (aside["status"], aside["metadata"], nothing["status"]) == ("completed", {"kind": "topic"}, "completed")
        assert answer["conversation_id"]

    run_over_sockets(main())


def test_what_one_response_may_do_is_its_own() -> None:
    model = Noting()
    tool = {"type": "function", "name": "open_page", "parameters": {"type": "object", "properties": {}}}

    async def main() -> None:
        async with Whole(model=model, agent_file=DESKS) as whole, client(whole) as mine:
            await create(mine, message("u1", "Hello?"))
            await respond(mine, tools=[tool], tool_choice="none", max_output_tokens=77)
            await respond(mine)

        first, second = model.asked
        assert [offer.name for offer in first.tools] == ["open_page"]
        assert (first.settings.tool_choice, first.settings.max_output_tokens) == ("none", 77)
        assert [offer.name for offer in second.tools] == []
        assert second.settings.max_output_tokens != 77

    run_over_sockets(main())


def test_what_was_deleted_while_it_was_said_is_not_read_again() -> None:
    model = Noting()

    async def main() -> None:
        async with Whole(model=model, agent_file=DESKS, segment_ms=3_000) as whole, client(whole) as mine:
            await mine.asks("Hello?")
            added = await mine.until("response.output_item.added")
            await mine.until("response.output_audio.delta")
            await mine.socket.send_json({"type": DELETE, "item_id": added["item"]["id"]})
            await mine.until("conversation.item.deleted")
            await mine.asks("Again?")
            await mine.until("response.done")

        assert read(model.asked[-1]) == ["user: Hello?", "user: Again?"]

    run_over_sockets(main())


def test_a_client_that_comes_back_to_another_gateway_finds_its_own_order() -> None:
    async def main() -> None:
        async with Whole(model=Noting(), agent_file=DESKS, gateways=2) as whole:
            async with client(whole) as mine:
                token = (await mine.until("session.created"))["trunkline"]["resume_token"]
                await create(mine, message("u1", "one"))
                await create(mine, message("u2", "two"))
                await create(mine, message("a1", "zero", "assistant"), previous_item_id="root")
                await mine.socket.send_json({"type": DELETE, "item_id": "u1"})
                await mine.until("conversation.item.deleted")
                await respond(mine, output_modalities=["text"])
                await whole.kill_gateway(0)
            async with again(whole, token) as mine:
                items = [await mine.until("conversation.item.done") for _ in range(3)]

        assert [event["item"]["id"] for event in items][:2] == ["a1", "u2"]
        assert items[2]["item"]["role"] == "assistant"

    run_over_sockets(main())
