"""What a client asks of one response, and in which order responses come: over real sockets, the workers in memory."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from gateway.scene import Session, settle
from gateway.socket_scene import Caller, Event, Server
from support.virtual import run_over_sockets
from trunkline.proto import response as r
from trunkline.proto import speaking as sp
from trunkline.proto import speech as s
from trunkline.proto.envelope import Message
from trunkline.proto.tool import DescribedTool

VENDOR: TypeAdapter[object] = TypeAdapter(RealtimeServerEvent)
ACTIVE = "conversation_already_has_active_response"
NONE = {"conversation": "none"}
LONG = "This is a long answer of many words, which takes a while to be heard."


def user(text: str) -> Event:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


USER = user("What is this?")


def with_caller(scenario: Callable[[Server, Caller], Awaitable[None]], *, mute: bool = False) -> None:
    """Whatever was told is an event of the vendor's types. mute: the agent only takes notes."""

    async def main() -> None:
        async with Server(message_limit_bytes=1_000_000) as server:
            if mute:
                server.scene.agent_mind.respond = lambda *_: None  # type: ignore[method-assign]
            async with server.connect() as caller:
                await caller.until("session.created")
                await scenario(server, caller)
                for event in caller.seen[1:]:
                    VENDOR.validate_python(event)

    run_over_sockets(main())


async def ask(caller: Caller, event_id: str = "evt_r", **options: object) -> None:
    await caller.send(type="response.create", event_id=event_id, response=options)


async def done(caller: Caller) -> Event:
    event = await caller.until("response.done")
    response: Event = event["response"]
    return response


def orders(server: Server) -> list[Any]:
    return server.scene.agent.last.all(r.Respond)


def kinds(caller: Caller, prefix: str) -> list[str]:
    return [event["type"] for event in caller.seen if event["type"].startswith(prefix)]


def test_what_is_asked_of_one_response_reaches_the_agent_and_is_told_back() -> None:
    tool = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="conversation.item.create", item=USER | {"id": "u1"})
        await ask(
            caller,
            instructions="Be short.",
            tools=[tool],
            tool_choice="required",
            max_output_tokens=50,
            metadata={"topic": "greeting"},
            input=[{"type": "item_reference", "id": "u1"}, USER | {"id": "other"}],
            conversation="auto",
        )
        response = await done(caller)
        created = next(event for event in caller.seen if event["type"] == "response.created")["response"]

        [order] = orders(server)
        assert order.instructions == "Be short."
        described = DescribedTool("look", "Looks.", '{"type":"object"}')
        context = (r.Inserted("reference", "u1"), r.Inserted("message", "other", "user", "What is this?"))
        assert order.asked == r.Asked((described,), "required", 50, context)
        assert order.response == response["id"] == created["id"]
        for told in (created, response):
            assert told["metadata"] == {"topic": "greeting"}
            assert told["max_output_tokens"] == 50
            assert told["conversation_id"].startswith("conv_")
            assert told["object"] == "realtime.response"
            assert told["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert response["output"][0]["phase"] == "final_answer"

    with_caller(scenario)


def test_a_response_without_options_asks_for_nothing_else() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="response.create")
        response = await done(caller)

        assert [(order.instructions, order.asked) for order in orders(server)] == [("", None)]
        assert "metadata" not in response
        assert response["max_output_tokens"] == "inf"

    with_caller(scenario)


def test_no_context_is_not_the_conversation_s() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await ask(caller, input=[])
        await done(caller)

        assert orders(server)[0].asked == r.Asked(context=())

    with_caller(scenario)


def test_a_choice_of_the_response_s_own_stands_against_that_of_the_session() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        tool = {"type": "function", "name": "look"}
        await caller.send(
            type="session.update",
            session={"type": "realtime", "tools": [tool], "tool_choice": "required", "max_output_tokens": 20},
        )
        await ask(caller, tool_choice="auto", max_output_tokens="inf")
        response = await done(caller)

        assert orders(server)[0].asked == r.Asked(tool_choice="auto", max_output_tokens=4096)
        assert response["max_output_tokens"] == 4096

    with_caller(scenario)


def test_one_response_of_text_in_a_session_of_sound() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await ask(caller, output_modalities=["text"])
        text = await done(caller)
        spoken_before = kinds(caller, "response.output_audio.delta")
        await ask(caller)
        sound = await done(caller)

        assert text["output_modalities"] == ["text"]
        assert text["output"][0]["content"] == [{"type": "output_text", "text": "Fine."}]
        assert spoken_before == []
        assert sound["output_modalities"] == ["audio"]
        assert sound["output"][0]["content"] == [{"type": "output_audio", "transcript": "Fine."}]
        parts = [event["part"]["type"] for event in caller.seen if "part" in event]
        assert parts == ["text", "text", "audio", "audio"]

    with_caller(scenario)


def test_one_response_in_another_voice_and_format() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        output = {"voice": "joe", "format": {"type": "audio/pcmu"}}
        await ask(caller, audio={"output": output})
        own = await done(caller)
        size = sum(len(base64.b64decode(e["delta"])) for e in caller.seen if e["type"] == "response.output_audio.delta")
        await ask(caller)
        usual = await done(caller)

        assert own["audio"]["output"] == output
        assert usual["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24_000}}
        assert size == pytest.approx(len("Fine.") * 0.05 * 8_000, abs=400)
        voices = [m.voice for m in server.scene.tts.last.all(sp.Synthesise) if isinstance(m, sp.Synthesise)]
        assert voices == ["joe", ""]

    with_caller(scenario)


BAD: dict[str, tuple[Event, str, str]] = {
    "no place": ({"conversation": "conv_1"}, "response.conversation", "invalid_value"),
    "too few tokens": ({"max_output_tokens": 0}, "response.max_output_tokens", "invalid_value"),
    "too many tokens": ({"max_output_tokens": 4097}, "response.max_output_tokens", "invalid_value"),
    "no modality": ({"output_modalities": []}, "response.output_modalities", "invalid_value"),
    "a tool without a name": ({"tools": [{}]}, "response.tools[0].name", "missing_required_parameter"),
    "no such tool": (
        {"tool_choice": {"type": "function", "name": "look"}},
        "response.tool_choice.name",
        "invalid_value",
    ),
    "metadata that is no text": ({"metadata": {"a": 1}}, "response.metadata[...]", "invalid_value"),
    "much metadata": ({"metadata": {str(n): "" for n in range(17)}}, "response.metadata", "invalid_value"),
    "a long key": ({"metadata": {"k" * 65: ""}}, "response.metadata", "invalid_value"),
    "a long value": ({"metadata": {"k": "v" * 513}}, "response.metadata.k", "invalid_value"),
    "a reference to nothing": (
        {"input": [{"type": "item_reference", "id": "gone"}]},
        "response.input[0].id",
        "item_not_found",
    ),
    "an item that is none": ({"input": [USER, {"type": "nonsense"}]}, "response.input[1].type", "not_supported"),
    "much input": (
        {"input": [user("x" * 99_000)] * 6},
        "response.input",
        "invalid_value",
    ),
    "many instructions": ({"instructions": "\u6f22" * 90_000}, "response.instructions", "invalid_value"),
    "an unknown format": (
        {"audio": {"output": {"format": {"type": "audio/mp3"}}}},
        "response.audio.output.format.type",
        "invalid_value",
    ),
    "sound that comes in": ({"audio": {"input": {}}}, "response.audio.input", "unknown_parameter"),
    "a prompt": ({"prompt": {"id": "p"}}, "response.prompt", "not_supported"),
    "another way to reason": ({"reasoning": {"effort": "high"}}, "response.reasoning", "not_supported"),
    "tools one by one": ({"parallel_tool_calls": False}, "response.parallel_tool_calls", "not_supported"),
    "a session's setting": ({"tracing": "auto"}, "response.tracing", "unknown_parameter"),
    "an unknown option": ({"colour": "red"}, "response.colour", "unknown_parameter"),
}


@pytest.mark.parametrize("what", BAD)
def test_an_option_that_cannot_be_had_is_refused_by_name_and_asks_nothing(what: str) -> None:
    options, param, code = BAD[what]

    async def scenario(server: Server, caller: Caller) -> None:
        await ask(caller, **options)
        error = await caller.error()
        await settle()

        assert (error.get("param"), error["code"], error["event_id"]) == (param, code, "evt_r")
        assert orders(server) == []
        await ask(caller)
        assert (await done(caller))["status"] == "completed"

    with_caller(scenario)


# out of band


def test_a_response_out_of_band_is_in_no_conversation() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await ask(caller, **NONE, metadata={"topic": "check"}, output_modalities=["text"])
        response = await done(caller)
        events = list(caller.seen)
        [item] = response["output"]
        await caller.send(type="conversation.item.retrieve", item_id=item["id"])
        gone = await caller.error()
        await caller.send(type="conversation.item.create", item=USER)
        first = await caller.until("conversation.item.added")

        assert "conversation_id" not in response
        assert response["metadata"] == {"topic": "check"}
        assert item["content"] == [{"type": "output_text", "text": "Fine."}]
        assert not [event for event in events if event["type"].startswith("conversation.")]
        told = [event["type"] for event in events if event["type"].startswith("response.output_item")]
        assert told == ["response.output_item.added", "response.output_item.done"]
        assert gone["code"] == "item_retrieve_invalid_item_id"
        assert first["previous_item_id"] is None
        assert orders(server)[0].asked == r.Asked(aside=True)

    with_caller(scenario)


def test_responses_out_of_band_wait_for_the_slot_in_their_order() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await ask(caller, "evt_main")
        for name in "abc":
            await ask(caller, f"evt_{name}", **NONE, metadata={"name": name}, output_modalities=["text"])
        await ask(caller, "evt_second")
        refused = await caller.error()
        responses = [await done(caller) for _ in range(4)]

        assert (refused["code"], refused["event_id"]) == (ACTIVE, "evt_second")
        assert [one.get("metadata", {}).get("name", "") for one in responses] == ["", "a", "b", "c"]
        assert all(one["status"] == "completed" for one in responses)
        slot = [event["type"] for event in caller.seen if event["type"] in ("response.created", "response.done")]
        assert slot == ["response.created", "response.done"] * 4

    with_caller(scenario)


def test_a_response_of_the_conversation_goes_before_those_out_of_band_that_wait() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await ask(caller, "evt_a", **NONE)
        await ask(caller, "evt_b", **NONE)
        await ask(caller, "evt_main")
        await ask(caller, "evt_main_2")
        refused = await caller.error()
        responses = [await done(caller) for _ in range(3)]

        assert (refused["code"], refused["event_id"]) == (ACTIVE, "evt_main_2")
        assert ["conversation_id" in one for one in responses] == [False, True, False]

    with_caller(scenario)


def test_only_so_many_wait_out_of_band() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for number in range(10):
            await ask(caller, f"evt_{number}", **NONE)
        refused = await caller.error()

        assert (refused["param"], refused["code"]) == ("response.conversation", "too_many_responses")
        assert refused["event_id"] == "evt_9"
        assert [(await done(caller))["status"] for _ in range(9)] == ["completed"] * 9

    with_caller(scenario)


def test_a_caller_s_turn_ends_what_is_out_of_band_and_leaves_what_waits() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        server.scene.agent_mind.answer = LONG
        await ask(caller, "evt_a", **NONE)
        await ask(caller, "evt_b", **NONE)
        await caller.until("response.output_audio.delta")
        server.scene.agent_mind.answer = "Fine."
        stt = server.scene.stt.sessions[0]
        stt.say(s.SpeechStarted(1, 0))
        stt.say(s.SpeechStopped(1, 8_000))
        stt.say(s.Final(1, "Hello?", 0, 8_000))
        cut, answer, aside = [await done(caller) for _ in range(3)]

        assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "turn_detected")
        assert ("conversation_id" in answer, answer["status"]) == (True, "completed")
        assert ("conversation_id" in aside, aside["status"]) == (False, "completed")

    with_caller(scenario)


def test_what_the_client_asks_for_answers_a_turn_that_waits_too() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        detection = {"type": "server_vad", "interrupt_response": False}
        await caller.send(
            type="session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        )
        server.scene.agent_mind.answer = LONG
        await ask(caller, "evt_a", **NONE)
        await caller.until("response.output_audio.delta")
        stt = server.scene.stt.sessions[0]
        stt.say(s.SpeechStarted(1, 0))
        stt.say(s.SpeechStopped(1, 8_000))
        stt.say(s.Final(1, "Hello?", 0, 8_000))
        await caller.until("conversation.item.input_audio_transcription.completed")
        await ask(caller, "evt_main")
        responses = [await done(caller) for _ in range(2)]
        await settle(5.0)

        assert ["conversation_id" in one for one in responses] == [False, True]
        assert len(orders(server)) == 2

    with_caller(scenario)


# every one is answered


def test_a_response_that_waits_for_the_slot_can_be_cancelled() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await ask(caller, "evt_a", **NONE)
        await ask(caller, "evt_main", metadata={"name": "main"})
        await caller.send(type="response.cancel")
        cancelled = await done(caller)
        aside = await done(caller)

        assert (cancelled["status"], cancelled["metadata"]) == ("cancelled", {"name": "main"})
        assert (aside["status"], "conversation_id" in aside) == ("completed", False)

    with_caller(scenario)


def test_a_client_of_ours_cancels_a_response_that_waits_by_the_name_that_it_gave_it() -> None:
    async def main() -> None:
        async with Server() as server, server.connect(ours=True) as caller:
            await caller.until("session.created")
            await ask(caller, "resp_a", **NONE)
            await ask(caller, "resp_main")
            await caller.send(type="response.cancel", response_id="resp_main")
            responses = [await done(caller) for _ in range(2)]

            assert [(one["id"], one["status"]) for one in responses] == [
                ("resp_main", "cancelled"),
                ("resp_a", "completed"),
            ]

    run_over_sockets(main())


def test_whatever_waits_as_the_call_ends_is_answered_with_an_error() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for name in ("evt_a", "evt_b"):
            await ask(caller, name, **NONE)
        await ask(caller, "evt_main")
        await settle()
        await server.service.drain(0.0)
        await caller.closed()

        errors = [event["error"] for event in caller.seen if event["type"] == "error"]
        assert [(one["code"], one.get("event_id")) for one in errors] == [
            ("call_over", "evt_a"),
            ("call_over", "evt_b"),
            ("call_over", "evt_main"),
            ("draining", None),
        ]

    with_caller(scenario, mute=True)


def test_the_next_is_taken_as_soon_as_one_is_done() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for number in range(3):
            await ask(caller, f"evt_{number}")
            await done(caller)

        assert kinds(caller, "error") == []

    with_caller(scenario)


# how they end


def ends(status: r.ResponseStatus, detail: str) -> Callable[[Session, Message], None]:
    def react(session: Session, message: Message) -> None:
        if isinstance(message, r.Respond):
            session.say(r.ResponseStarted(message.response, 0))
            session.say(r.ResponseFinished(message.response, status, detail, 5, 0))

    return react


@pytest.mark.parametrize(
    ("status", "detail", "details"),
    [
        ("incomplete", "max_output_tokens", {"type": "incomplete", "reason": "max_output_tokens"}),
        ("incomplete", "content_filter", {"type": "incomplete", "reason": "content_filter"}),
        (
            "failed",
            "the model is gone",
            {
                "type": "failed",
                "error": {"type": "server_error", "code": "response_failed", "message": "the model is gone"},
            },
        ),
    ],
)
def test_why_a_response_ended_is_told_as_the_vendor_does(status: r.ResponseStatus, detail: str, details: Event) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        server.scene.agent._react = ends(status, detail)
        await caller.send(type="response.create")
        response = await done(caller)

        assert (response["status"], response["status_details"]) == (status, details)
        assert response["usage"]["input_token_details"] == {"text_tokens": 5, "audio_tokens": 0}
        assert b":null" not in msgspec.json.encode(response)

    with_caller(scenario)


def test_several_calls_of_one_response_out_of_band_are_asked_and_are_no_items() -> None:
    def react(session: Session, message: Message) -> None:
        if isinstance(message, r.Respond):
            session.say(r.ResponseStarted(message.response, 0))
            for call in ("call_a", "call_b"):
                session.say(r.ToolAsked(message.response, call, "look", "{}"))
            session.say(r.ResponseFinished(message.response, "completed"))

    async def scenario(server: Server, caller: Caller) -> None:
        server.scene.agent._react = react
        await ask(caller, **NONE, tools=[{"type": "function", "name": "look"}])
        response = await done(caller)

        assert [item["call_id"] for item in response["output"]] == ["call_a", "call_b"]
        assert kinds(caller, "conversation.") == []
        named = [e["name"] for e in caller.seen if e["type"] == "response.function_call_arguments.done"]
        assert named == ["look", "look"]

        await caller.send(
            type="conversation.item.create", item={"type": "function_call_output", "call_id": "call_a", "output": "1"}
        )
        refused = await caller.until("error")

        assert (refused["error"]["param"], refused["error"]["code"]) == ("item.call_id", "item_not_found")

    with_caller(scenario)
