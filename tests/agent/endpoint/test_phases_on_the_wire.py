"""What a model's endpoint is sent on a call: all that was said, with its phase unchanged, by whichever agent."""

import asyncio
from collections.abc import Sequence

import pytest

from agent.endpoint.stand_in import Asked, StandIn
from agent.endpoint.streams import Answer, chat, chat_sse, piece, sse
from agent.scene import Scene, lookup
from support.virtual import run_over_sockets
from trunkline.agents import Agent, ModelSettings
from trunkline.proto.response import Converse, Equip, Insert, Inserted, Respond, Say, SegmentHeard

LOOKING = sse(Answer(1).message("One moment, please.", "commentary").call("lookup", '{"order":"4"}').completed())
FOUND = sse(Answer(2).message("It arrives tomorrow.", "final_answer").completed())
THANKS = sse(Answer(3).message("You are welcome.", "final_answer").completed())
SAID = [
    ("user", None, "Where is my order?"),
    ("assistant", "commentary", "One moment, please."),
    ("assistant", "final_answer", "It arrives tomorrow."),
    ("user", None, "Thank you."),
]


def said_in(asked: Asked) -> list[tuple[str, str | None, str]]:
    """Role, phase and text of each message in a Responses request; the phase is "-" where there is no such key."""
    return [
        (item["role"], item.get("phase"), item["content"] if isinstance(item["content"], str) else text_of(item))
        for item in asked.body["input"]
        if item["type"] == "message"
    ]


def text_of(item: dict[str, list[dict[str, str]]]) -> str:
    return "".join(part["text"] for part in item["content"])


async def answered(scene: Scene, *turns: str, until: int) -> None:
    """Until so many responses are over."""
    for text in turns:
        scene.says(text)
        await asyncio.sleep(5.0)
    assert len(scene.finished) == until


def test_the_next_rounds_hold_all_that_was_said_with_its_phase() -> None:
    async def main() -> Sequence[Asked]:
        async with StandIn(LOOKING, FOUND, THANKS) as endpoint, Scene(model=endpoint.model()) as scene:
            await scene.place()
            await answered(scene, "Where is my order?", "Thank you.", until=2)
        return endpoint.asked

    first, second, third = run_over_sockets(main())

    assert said_in(first) == SAID[:1]
    assert said_in(second) == SAID[:2]
    assert [item["type"] for item in second.body["input"]] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
    ]
    assert said_in(third) == SAID


def test_after_the_loss_of_the_agent_the_next_one_sends_the_same() -> None:
    async def main() -> Sequence[Asked]:
        async with StandIn(LOOKING, FOUND, THANKS) as endpoint:
            first = Scene(model=endpoint.model())
            async with first:
                await first.place()
                await answered(first, "Where is my order?", until=1)
            second = Scene(model=endpoint.model(), store=first.store, claims=first.claims, worker="ag2")
            second._turns = 1
            async with second:
                await second.place(attach=2, order=Converse(hub=1, gateway="gw", reason="gone"))
                await answered(second, "Thank you.", until=1)
        return endpoint.asked

    assert said_in(run_over_sockets(main())[-1]) == SAID


def test_an_interrupted_answer_goes_back_as_what_was_heard_with_its_phase() -> None:
    async def main() -> Asked:
        async with StandIn(LOOKING, FOUND, THANKS) as endpoint, Scene(model=endpoint.model()) as scene:
            await scene.place()
            await answered(scene, "Where is my order?", until=1)
            *whole, cut = (say for say in scene.told if isinstance(say, Say))
            heard = [SegmentHeard(say.item, say.index, 24_000, 24_000) for say in whole]
            scene.interrupts(cut.response, *heard, SegmentHeard(cut.item, cut.index, 16_000, 24_000))
            await answered(scene, "Thank you.", until=2)
        return endpoint.asked[-1]

    said = said_in(run_over_sockets(main()))

    assert said == [*SAID[:2], ("assistant", "final_answer", "It arrives"), SAID[3]]


def test_a_phase_that_the_model_did_not_say_goes_back_as_it_was_settled() -> None:
    looking = chat_sse(chat("One moment, please.", piece(0, '{"order":"4"}', "call_1", "lookup")))

    async def main() -> Asked:
        async with (
            StandIn(looking, chat_sse(chat("It arrives tomorrow.")), chat_sse(chat("You are welcome."))) as endpoint,
            Scene(model=endpoint.model("chat")) as scene,
        ):
            await scene.place()
            await answered(scene, "Where is my order?", "Thank you.", until=2)
        return endpoint.asked[-1]

    messages = run_over_sockets(main()).body["messages"]

    assert [(message["role"], message.get("phase")) for message in messages] == [
        ("system", None),
        ("user", None),
        ("assistant", "commentary"),
        ("tool", None),
        ("assistant", "final_answer"),
        ("user", None),
    ]
    assert [call["id"] for call in messages[2]["tool_calls"]] == [messages[3]["tool_call_id"]] == ["call_1"]


@pytest.mark.parametrize("engine", ["responses", "chat"])
def test_an_endpoint_that_refuses_the_key_never_gets_it(engine: str) -> None:
    replies = {
        "responses": (LOOKING, FOUND, THANKS),
        "chat": (chat_sse(chat("Yes.", piece(0, "{}", "call_1", "lookup"))), chat_sse(chat("Yes."))),
    }[engine]

    async def main() -> Sequence[Asked]:
        async with (
            StandIn(*replies) as endpoint,
            Scene(model=endpoint.model(engine, model_phase="omit")) as scene,
        ):
            await scene.place()
            await answered(scene, "Where is my order?", "Thank you.", until=2)
        return endpoint.asked

    asked = run_over_sockets(main())

    assert len(asked) == 3
    assert not any("phase" in item for one in asked for item in one.body.get("input", one.body.get("messages")))


def test_an_agent_with_a_budget_sends_the_latest_turns_alone() -> None:
    frugal = Agent("desk", instructions="Be kind.", tools=[lookup], settings=ModelSettings(history_tokens=29))

    async def main() -> Asked:
        async with StandIn(LOOKING, FOUND, THANKS) as endpoint, Scene(model=endpoint.model(), agent=frugal) as scene:
            await scene.place()
            await answered(scene, "Where is my order?", "Thank you.", "Goodbye.", until=3)
        return endpoint.asked[-1]

    assert said_in(run_over_sockets(main())) == [
        ("user", None, "Thank you."),
        ("assistant", "final_answer", "You are welcome."),
        ("user", None, "Goodbye."),
    ]


GIVEN = (
    Insert(Inserted("message", "item_0", "system", "Be brief.")),
    Insert(Inserted("message", "item_1", "user", "Where is my order?")),
    Insert(Inserted("message", "item_2", "assistant", "One moment, please.", "commentary")),
    Insert(Inserted("message", "item_3", "assistant", "It arrives tomorrow.", "final_answer")),
    Insert(Inserted("message", "item_4", "assistant", "At noon.")),
)
GIVEN_AS = [
    ("system", None, "Be brief."),
    ("user", None, "Where is my order?"),
    ("assistant", "commentary", "One moment, please."),
    ("assistant", "final_answer", "It arrives tomorrow."),
    ("assistant", None, "At noon."),
]


async def given(scene: Scene) -> None:
    """What a client added itself, and an answer to it."""
    await scene.place()
    for message in (*GIVEN, Respond(response="resp_given")):
        scene.link.send(message)
    await asyncio.sleep(5.0)
    assert len(scene.finished) == 1


def test_what_a_client_added_goes_to_a_model_with_the_phases_that_the_client_gave() -> None:
    async def main() -> Sequence[Asked]:
        async with StandIn(THANKS) as endpoint:
            first = Scene(model=endpoint.model())
            async with first:
                await given(first)
            second = Scene(model=endpoint.model(), store=first.store, claims=first.claims, worker="ag2")
            async with second:
                await second.place(attach=2, order=Converse(hub=1, gateway="gw", reason="gone"))
                await answered(second, "And now?", until=1)
        return endpoint.asked

    asked, at_the_next = run_over_sockets(main())

    assert said_in(asked) == GIVEN_AS
    assert said_in(at_the_next) == [
        *GIVEN_AS,
        ("assistant", "final_answer", "You are welcome."),
        ("user", None, "And now?"),
    ]


def test_a_chat_endpoint_has_them_as_well() -> None:
    async def main() -> Asked:
        async with StandIn(chat_sse(chat("Yes."))) as endpoint, Scene(model=endpoint.model("chat")) as scene:
            await given(scene)
        return endpoint.asked[-1]

    messages = run_over_sockets(main()).body["messages"]

    told = [(message["role"], message.get("phase"), message["content"]) for message in messages]
    assert told == [("system", None, "Be kind."), *GIVEN_AS]


@pytest.mark.parametrize("engine", ["responses", "chat"])
def test_what_a_session_asks_of_the_model_is_asked_of_its_endpoint(engine: str) -> None:
    cut = {
        "responses": sse(Answer(1).message("Once upon", "final_answer").incomplete("max_output_tokens")),
        "chat": chat_sse(chat("Once upon", finish="length")),
    }[engine]

    async def main() -> tuple[Asked, list[tuple[str, str]]]:
        async with StandIn(cut) as endpoint, Scene(model=endpoint.model(engine)) as scene:
            await scene.place()
            scene.link.send(Equip((), "required", False, 7, "low"))
            await answered(scene, "Tell me a story.", until=1)
            return endpoint.asked[-1], [(done.status, done.detail) for done in scene.finished]

    asked, ended = run_over_sockets(main())

    limit = {"responses": "max_output_tokens", "chat": "max_completion_tokens"}[engine]
    assert (asked.body[limit], asked.body["parallel_tool_calls"], asked.body["tool_choice"]) == (7, False, "required")
    effort = asked.body["reasoning"]["effort"] if engine == "responses" else asked.body["reasoning_effort"]
    assert effort == "low"
    assert ended == [("incomplete", "max_output_tokens")]
