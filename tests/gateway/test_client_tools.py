"""A client's own tools at the gateway: what a session may bring, how the client is asked, and what it may answer."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from gateway.past_call import CALL, LAST
from gateway.past_call import events as past_events
from gateway.scene import Session, settle
from gateway.socket_scene import KEY, Caller, Server
from gateway.test_speaking import Stage
from support.virtual import run_over_sockets
from trunkline.gateway.call_events import ResponseEnded, ToolCalled
from trunkline.gateway.client_tools import ClientTools
from trunkline.gateway.dialects.realtime import session as realtime
from trunkline.gateway.dialects.realtime.new_items import OUTPUT_LIMIT_BYTES
from trunkline.gateway.dialects.realtime.offer import ANYTHING, Offer
from trunkline.gateway.dialects.realtime.session_tools import TOOLS_LIMIT, TOOLS_LIMIT_BYTES
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.proto import record as rec
from trunkline.proto import response as r
from trunkline.proto import speaking as sp
from trunkline.proto.errors import BadInput
from trunkline.proto.tool import DescribedTool

PARAMETERS = {"type": "object", "properties": {"page": {"type": "integer"}}}
OPEN = {"type": "function", "name": "open_page", "description": "Opens a page.", "parameters": PARAMETERS}
TOLD = DescribedTool("open_page", "Opens a page.", msgspec.json.encode(PARAMETERS).decode())
ASKED = r.ToolAsked("resp_a", "call_a", "open_page", '{"page":7}')
TOKEN = ResumeTokens("", [KEY, "sk-other"]).issue(CALL)
VENDOR = TypeAdapter(RealtimeServerEvent)


# the session


def merged(fields: dict[str, object], *reserved: str) -> realtime.Session:
    patch = msgspec.json.decode(msgspec.json.encode({"type": "realtime"} | fields), type=realtime.SessionPatch)
    session = realtime.new_session("rtc_00_x", "gpt-realtime", "Be kind.", "joe")
    return realtime.merge(session, patch, Offer(tools=reserved))


def test_a_session_s_tools_and_choice_are_echoed_and_told_as_they_are() -> None:
    session = merged({"tools": [OPEN, {"name": "wave"}], "tool_choice": {"type": "function", "name": "wave"}})
    echo = msgspec.json.decode(msgspec.json.encode(session))

    assert echo["tools"] == [OPEN, {"type": "function", "name": "wave"}]
    assert echo["tool_choice"] == {"type": "function", "name": "wave"}
    told = realtime.wishes(session, ANYTHING).equip
    assert told.tools[0] == TOLD
    assert told.tools[1].parameters == '{"type":"object","properties":{}}'
    assert told.tool_choice == "wave"


@pytest.mark.parametrize(("choice", "told"), [("auto", ""), ("none", "none"), ("required", "required"), (None, "")])
def test_every_way_to_choose_is_told(choice: str | None, told: str) -> None:
    assert realtime.wishes(merged({"tool_choice": choice}), ANYTHING).equip.tool_choice == told


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session.tools[0].type", "not_supported"),
        ({"tools": [OPEN, {"type": "function"}]}, "session.tools[1].name", "missing_required_parameter"),
        ({"tools": [OPEN | {"name": "a b"}]}, "session.tools[0].name", "invalid_value"),
        ({"tools": [OPEN | {"name": "lookup"}]}, "session.tools[0].name", "invalid_value"),
        ({"tools": [OPEN, OPEN]}, "session.tools[1].name", "invalid_value"),
        ({"tools": [OPEN | {"colour": 1}]}, "session.tools[0].colour", "unknown_parameter"),
        ({"tools": [OPEN | {"parameters": []}]}, "session.tools[0].parameters", "invalid_value"),
        ({"tools": [OPEN | {"parameters": {"type": "array"}}]}, "session.tools[0].parameters", "invalid_value"),
        ({"tools": {}}, "session.tools", "invalid_value"),
        ({"tools": [7]}, "session.tools[0]", "invalid_value"),
        ({"tools": [{"name": f"t{n}"} for n in range(TOOLS_LIMIT + 1)]}, "session.tools", "invalid_value"),
        ({"tools": [OPEN | {"description": "x" * TOOLS_LIMIT_BYTES}]}, "session.tools", "invalid_value"),
        ({"tool_choice": "perhaps"}, "session.tool_choice", "invalid_value"),
        ({"tool_choice": 7}, "session.tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "session.tool_choice.type", "not_supported"),
        ({"tool_choice": {"type": "function", "name": "wave"}}, "session.tool_choice.name", "invalid_value"),
    ],
)
def test_tools_that_cannot_be_had_are_refused_by_name(fields: dict[str, object], param: str, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        merged(fields, "lookup")

    assert (refused.value.param, refused.value.code) == (param, code)


def test_a_tool_of_the_agent_s_own_may_be_chosen() -> None:
    session = merged({"tool_choice": {"type": "function", "name": "lookup"}}, "lookup")

    assert realtime.wishes(session, ANYTHING).equip.tool_choice == "lookup"


def test_a_chosen_tool_cannot_be_taken_away_alone() -> None:
    before = merged({"tools": [OPEN], "tool_choice": {"type": "function", "name": "open_page"}})

    with pytest.raises(BadInput, match="tool_choice"):
        realtime.merge(before, realtime.SessionPatch(type="realtime", tools=msgspec.Raw(b"[]")))


# the book of what was asked


def test_the_agent_is_told_of_tools_only_when_they_change() -> None:
    told: list[r.Equip | r.ToolOutput] = []
    tools = ClientTools(told.append, afresh=False)
    for equip in (r.Equip(), r.Equip((TOLD,)), r.Equip((TOLD,)), r.Equip()):
        tools.equip(equip)

    assert told == [r.Equip((TOLD,)), r.Equip()]


def test_a_gateway_that_is_new_to_the_call_tells_even_that_there_are_none() -> None:
    told: list[r.Equip | r.ToolOutput] = []
    ClientTools(told.append, afresh=True).equip(r.Equip())

    assert told == [r.Equip()]


def test_a_call_that_is_asked_again_behind_its_output_is_not_open_again() -> None:
    told: list[r.Equip | r.ToolOutput] = []
    tools = ClientTools(told.append, afresh=False)
    asked = ToolCalled("resp_a", "call_a", "open_page", "{}")
    tools.on_event(asked)
    tools.answer("call_a", "open")
    tools.on_event(asked)

    with pytest.raises(BadInput, match="has its output"):
        tools.answer("call_a", "open")
    assert told == [r.ToolOutput("call_a", "open")]


# among the words


def ask(stage: Stage, *segments: str) -> None:
    stage.speaking.on_agent(r.ResponseStarted("resp_a", 1), None)
    stage.speaking.on_agent(r.ItemStarted("resp_a", "item_a", "commentary"), None)
    for index, text in enumerate(segments):
        stage.speaking.on_agent(r.Say("resp_a", "item_a", index, text), None)
    stage.speaking.on_agent(r.ItemFinished("resp_a", "item_a", "".join(segments), "commentary"), None)
    stage.speaking.on_agent(ASKED, None)
    stage.speaking.on_agent(r.ResponseFinished("resp_a", "completed"), None)


def calls(stage: Stage) -> list[str]:
    return [event.tool_call for event in stage.events if isinstance(event, ToolCalled)]


def test_a_caller_who_interrupts_the_words_before_it_takes_the_tool_call_back() -> None:
    stage = Stage()
    stage.place()
    ask(stage, "One moment, please.")
    stage.speaking.interrupt("turn_detected")
    stage.speaking.on_agent(ASKED, None)  # another agent says it again

    assert calls(stage) == []
    (told,) = [message for message in stage.agent if isinstance(message, r.Interrupt)]
    assert (told.response, told.asked) == ("resp_a", ())


def test_what_the_client_was_asked_is_told_with_an_interruption_of_what_still_sounds() -> None:
    stage = Stage()
    stage.place()
    ask(stage, "Hm.")
    stage.send(stage.orders[0].segment, 0, bytes(4_800), last=True)
    stage.speaking.on_tts(sp.SegmentSpoken(stage.orders[0].segment, 2_400))
    stage.speaking.interrupt("turn_detected")

    assert calls(stage) == ["call_a"]
    assert [event.status for event in stage.events if isinstance(event, ResponseEnded)] == ["completed"]
    (told,) = [message for message in stage.agent if isinstance(message, r.Interrupt)]
    assert told.asked == ("call_a",)


# over the socket


def asks(session: Session, message: object) -> None:
    """An agent whose answer to typed text is to ask the client, and to anything else to say that it is done."""
    if isinstance(message, r.Respond) and not any(isinstance(one, r.ToolOutput) for one in session.got):
        session.say(r.ResponseStarted(message.response, 0))
        session.say(r.ToolAsked(message.response, "call_a", "open_page", '{"page":7}'))
        session.say(r.ResponseFinished(message.response, "completed"))
    elif isinstance(message, r.Respond):
        session.say(r.ResponseStarted(message.response, 0))
        session.say(r.ItemStarted(message.response, "item_done", "final_answer"))
        session.say(r.Say(message.response, "item_done", 0, "Done."))
        session.say(r.ItemFinished(message.response, "item_done", "Done.", "final_answer"))
        session.say(r.ResponseFinished(message.response, "completed"))


def with_caller(scenario: Callable[[Server, Caller], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        async with Server(**settings) as server:
            server.scene.agent.attached = r.Attached("frontdesk", "d1", tools=("lookup",))
            server.scene.agent._react = asks
            async with server.connect() as caller:
                await scenario(server, caller)

    run_over_sockets(main())


async def is_asked(caller: Caller) -> None:
    await caller.send(type="session.update", session={"type": "realtime", "tools": [OPEN]})
    await caller.until("session.updated")
    await caller.send(type="response.create")
    await caller.until("response.done")


async def answers(caller: Caller, **item: object) -> None:
    given = {"type": "function_call_output", "call_id": "call_a", "output": "open", **item}
    await caller.send(type="conversation.item.create", event_id="evt_mine", item=given)


def outputs_of(session: Session) -> list[tuple[str, str]]:
    """(tool call, its output), as the agent was told."""
    return [(told.tool_call, told.output) for told in session.all(r.ToolOutput) if isinstance(told, r.ToolOutput)]


def test_a_client_is_asked_as_the_protocol_has_it_and_its_output_is_an_item() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await is_asked(caller)
        kinds = [event["type"] for event in caller.seen]
        asked = kinds.index("response.created")
        await answers(caller, id="item_mine")
        await caller.until("conversation.item.done")
        await caller.send(type="response.create")
        await caller.until("response.done")
        await caller.send(type="conversation.item.retrieve", item_id="item_call_a")
        retrieved = await caller.until("conversation.item.retrieved")

        assert kinds[asked:] == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        _, begun, _, delta, done, _, ended, response = caller.seen[asked : asked + 8]
        assert (begun["item"]["status"], begun["item"]["arguments"]) == ("in_progress", "")
        assert (delta["delta"], done["arguments"], done["name"]) == ('{"page":7}', '{"page":7}', "open_page")
        item = ended["item"]
        assert {key: item[key] for key in ("type", "status", "call_id", "name", "arguments")} == {
            "type": "function_call",
            "status": "completed",
            "call_id": "call_a",
            "name": "open_page",
            "arguments": '{"page":7}',
        }
        assert response["response"]["output"] == [item] == [retrieved["item"]]
        given = next(
            e for e in caller.seen if e["type"] == "conversation.item.added" and e["item"]["id"] == "item_mine"
        )
        assert given["previous_item_id"] == "item_call_a"
        told = server.scene.agent.last
        assert told.all(r.Equip) == [r.Equip((TOLD,))]
        assert outputs_of(told) == [("call_a", "open")]

    with_caller(scenario)


def test_each_of_several_calls_of_a_response_is_asked_and_answered() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="response.create")
        await settle()
        session, response = server.scene.agent.last, server.scene.agent_mind.responses[-1]
        session.say(r.ResponseStarted(response, 0))
        for call in ("call_b", "call_c"):
            session.say(r.ToolAsked(response, call, "open_page", "{}"))
        session.say(r.ResponseFinished(response, "completed"))
        done = await caller.until("response.done")
        for call in ("call_c", "call_b"):
            await answers(caller, call_id=call)
        await settle()

        assert [item["call_id"] for item in done["response"]["output"]] == ["call_b", "call_c"]
        added = [event for event in caller.seen if event["type"] == "response.output_item.added"]
        assert [event["output_index"] for event in added] == [0, 1]
        assert outputs_of(session) == [("call_c", "open"), ("call_b", "open")]

    async def main() -> None:
        async with Server() as server:
            server.scene.agent_mind.respond = lambda session, turn, response: (  # type: ignore[method-assign]
                server.scene.agent_mind.responses.append(response)
            )
            async with server.connect() as caller:
                await scenario(server, caller)

    run_over_sockets(main())


def test_the_slot_is_free_for_who_asks_as_soon_as_the_response_is_done() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await is_asked(caller)
        await answers(caller)
        await caller.send(type="response.create", event_id="evt_next")
        await caller.until("response.done")

        assert not [event for event in caller.seen if event["type"] == "error"]
        assert outputs_of(server.scene.agent.last) == [("call_a", "open")]

    with_caller(scenario)


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({"call_id": "call_x"}, "item.call_id", "item_not_found"),
        ({"call_id": None}, "item.call_id", "missing_required_parameter"),
        ({"output": None}, "item.output", "missing_required_parameter"),
        ({"id": "item_call_a"}, "item.id", "item_create_duplicate_item_id"),
        ({"type": "mcp_approval_response"}, "item.type", "not_supported"),
        ({"name": "x"}, "item.name", "invalid_value"),
    ],
)
def test_an_output_that_answers_nothing_is_refused_by_name(item: dict[str, object], param: str, code: str) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await is_asked(caller)
        await answers(caller, **item)
        error = await caller.error()
        await settle()

        assert (error["param"], error["code"], error["event_id"]) == (param, code, "evt_mine")
        assert server.scene.agent.last.all(r.ToolOutput) == []

    with_caller(scenario)


def test_an_output_is_taken_once() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await is_asked(caller)
        await answers(caller)
        await answers(caller)
        error = await caller.error()

        assert (error["param"], error["message"].split(";")[0]) == (
            "item.call_id",
            "item.call_id: 'call_a' has its output",
        )
        assert len(server.scene.agent.last.all(r.ToolOutput)) == 1

    with_caller(scenario)


def test_an_output_that_is_too_long_is_refused_and_can_be_given_again() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await is_asked(caller)
        await answers(caller, output="é" * OUTPUT_LIMIT_BYTES)
        error = await caller.error()
        await answers(caller, output="x" * OUTPUT_LIMIT_BYTES)
        await caller.until("conversation.item.done")

        assert error["param"] == "item.output"
        assert "bytes" in error["message"]
        assert outputs_of(server.scene.agent.last) == [("call_a", "x" * OUTPUT_LIMIT_BYTES)]

    with_caller(scenario, message_limit_bytes=1_000_000)


def test_a_client_s_tool_cannot_have_the_name_of_an_agent_s() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="session.update", session={"type": "realtime", "tools": [OPEN | {"name": "lookup"}]})
        error = await caller.error()

        assert error["param"] == "session.tools[0].name"
        assert "agent's own" in error["message"]
        assert server.scene.agent.last.all(r.Equip) == []

    with_caller(scenario)


# a call that another gateway had


def with_calls(*, answered: bool) -> list[rec.Event]:
    """Its last answer ended with a call of the client's tool."""
    closed = next(i for i, event in enumerate(past_events()) if isinstance(event, rec.ResponseClosed) and i > 10)
    told = past_events(heard_out=True)
    intent = rec.ToolIntended(17, "call_a", "resp_2", "open_page", '{"page":7}', "call_a", 0, LAST, "client")
    told.insert(closed, intent)
    told.append(rec.ClientEquipped(1, (TOLD,)))
    return [*told, rec.ToolFinished(30, "call_a", "ok", '"open"', "client")] if answered else told


async def put(server: Server, *, answered: bool) -> None:
    entry = rec.RecordEntry(rec.RECORD_VERSION, 1, 0, "entry_1", with_calls(answered=answered))
    await server.store.append(CALL, rec.encode_entry(entry), expected_seq=0, entry="entry_1")


def again(server: Server) -> None:
    """What an agent says to a gateway that is new to the call: the client has not answered."""
    for message in (
        r.ResponseStarted("resp_2", 2),
        r.ToolAsked("resp_2", "call_a", "open_page", '{"page":7}'),
        r.ResponseFinished("resp_2", "completed"),
    ):
        server.scene.agent.sessions[-1].say(message)


def back(
    scenario: Callable[[Server, Caller], Awaitable[None]], *, answered: bool, told: dict[str, object] | None = None
) -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server, answered=answered)
            async with server.connect(token=TOKEN, ours=told is not None) as caller:
                if told is not None:
                    stands = {"settled_ms": 4000, "kept_from_ms": 4000, "end_ms": 5000}
                    await caller.send(type="trunkline.resume", **stands, **told)
                await scenario(server, caller)

    run_over_sockets(main())


def items_of(caller: Caller) -> list[str]:
    return [event["item"]["id"] for event in caller.seen if event["type"] == "conversation.item.added"]


def test_a_stock_client_that_comes_back_is_told_its_calls_with_their_outputs() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        while len(items_of(caller)) < 6:
            await caller.next()
        await caller.send(type="conversation.item.retrieve", item_id="item_call_a")
        await caller.until("conversation.item.retrieved")
        await answers(caller)
        error = await caller.error()

        assert items_of(caller) == ["item_u1", "item_a1", "item_u2", LAST, "item_call_a", "item_call_a_output"]
        assert "has its output" in error["message"]

    back(scenario, answered=True)


def test_a_stock_client_that_comes_back_is_asked_again_what_it_has_not_answered() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await settle()
        again(server)
        await caller.until("response.done")
        await answers(caller)
        await caller.until("conversation.item.done")
        await settle()

        assert items_of(caller) == ["item_u1", "item_a1", "item_u2", LAST, "item_call_a", caller.seen[-1]["item"]["id"]]
        assert outputs_of(server.scene.agent.sessions[-1]) == [("call_a", "open")]

    back(scenario, answered=False)


MINE = [{"item_id": "item_mine", "call_id": "call_a", "output": "open", "event_id": "evt_1"}]


def test_an_output_that_the_record_lacks_is_taken_from_a_client_that_comes_back() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle()
        again(server)
        await settle()
        await answers(caller)
        error = await caller.error()

        assert "has its output" in error["message"]
        assert outputs_of(server.scene.agent.sessions[-1]) == [("call_a", "open")]
        assert "item_mine" in items_of(caller)

    back(scenario, answered=False, told={"outputs": MINE})


def test_a_client_that_lacks_the_end_of_a_response_gets_it_with_the_call() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await settle()
        again(server)
        done = await caller.until("response.done")

        assert [item["id"] for item in done["response"]["output"]] == [LAST, "item_call_a"]
        assert [event["type"] for event in caller.seen].count("response.created") == 1

    back(scenario, answered=False, told={"responses": ["resp_2"]})


def test_who_comes_back_only_to_hang_up_leaves_open_what_may_have_been_done() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await caller.socket.close()
        await settle(0.1)

        told = server.scene.agent.sessions[-1].all(r.Interrupt)
        assert told == [r.Interrupt("resp_2", "client_cancelled", (), ("call_a",))]

    heard = [{"item_id": LAST, "segment": at, "samples": 24_000} for at in (0, 1)]
    back(scenario, answered=False, told={"received": heard})


def test_an_output_that_is_on_record_is_not_told_again() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("trunkline.resumed")
        await caller.send(type="conversation.item.retrieve", item_id="item_mine")
        found = await caller.until("conversation.item.retrieved")
        await settle()

        assert found["item"]["output"] == '"open"'
        assert server.scene.agent.sessions[-1].all(r.ToolOutput) == []
        assert not [event for event in caller.seen if event["type"] == "error"]

    back(scenario, answered=True, told={"outputs": MINE})


def test_a_client_whose_session_has_tools_keeps_them_at_the_next_gateway() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        created = await caller.until("session.created")
        await settle()

        assert created["session"]["tools"] == [OPEN]
        assert server.scene.agent.sessions[-1].all(r.Equip) == [r.Equip((TOLD,))]

    back(scenario, answered=True, told={"session": {"tools": [OPEN]}})


def test_a_stock_client_that_comes_back_has_no_tools_till_it_says_so() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("session.created")
        await asyncio.sleep(0.1)

        assert server.scene.agent.sessions[-1].all(r.Equip) == [r.Equip()]

    back(scenario, answered=True)
