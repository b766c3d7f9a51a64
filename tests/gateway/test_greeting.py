"""Who speaks first: a greeting is said unless the client wants none, and what it asks for meanwhile waits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.socket_scene import Caller, Server
from support.virtual import run_over_sockets
from trunkline.gateway.dialects.realtime.peer import GREETING_PAUSE_S
from trunkline.proto import response as r
from trunkline.proto.response import Attached

HELLO = "resp_hello"
PLAIN = {"type": "realtime", "output_modalities": ["text"]}


def with_greeting(scenario: Callable[[Server, Caller], Awaitable[None]]) -> None:
    """The agent has said its greeting to the gateway before the client has said anything."""

    async def main() -> None:
        async with Server() as server:
            server.scene.agent.attached = Attached("frontdesk", "d1", greeting=HELLO)
            async with server.connect() as caller:
                server.scene.agent_mind.speak(server.scene.agent.sessions[0], HELLO, 0, "Hello.")
                await scenario(server, caller)

    run_over_sockets(main())


def kinds(caller: Caller) -> list[object]:
    return [event["type"] for event in caller.seen]


def opened(caller: Caller) -> list[object]:
    return [event["response"]["id"] for event in caller.seen if event["type"] == "response.created"]  # type: ignore[index]


def interrupted(server: Server) -> list[str]:
    return [m.response for m in server.scene.agent.sessions[0].all(r.Interrupt) if isinstance(m, r.Interrupt)]


def test_a_client_that_says_nothing_is_greeted_after_a_pause() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        since_s = asyncio.get_running_loop().time()
        await caller.until("response.created")
        waited_s = asyncio.get_running_loop().time() - since_s

        assert opened(caller) == [HELLO]
        assert waited_s == pytest.approx(GREETING_PAUSE_S, abs=0.1)

    with_greeting(scenario)


def test_a_client_that_sends_sound_is_greeted_at_once() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        since_s = asyncio.get_running_loop().time()
        await caller.send(type="session.update", session=PLAIN)
        await caller.append(bytes(960))
        await caller.until("response.created")

        assert opened(caller) == [HELLO]
        assert asyncio.get_running_loop().time() - since_s < GREETING_PAUSE_S / 2

    with_greeting(scenario)


def test_a_client_that_writes_first_is_answered_and_not_greeted() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        text = [{"type": "input_text", "text": "What is the weather?"}]
        await caller.send(type="session.update", session=PLAIN)
        await caller.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": text})
        await caller.send(type="response.create")
        await caller.until("response.done")

        assert "error" not in kinds(caller)
        [answered] = opened(caller)
        assert answered != HELLO
        assert interrupted(server) == [HELLO]

    with_greeting(scenario)


def test_a_client_with_instructions_of_its_own_is_not_greeted() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="session.update", session={"type": "realtime", "instructions": "You sell tea."})
        await asyncio.sleep(2 * GREETING_PAUSE_S)
        await caller.append(bytes(960))
        await caller.send(type="input_audio_buffer.clear")
        await caller.until("input_audio_buffer.cleared")

        assert kinds(caller) == ["session.created", "session.updated", "input_audio_buffer.cleared"]
        assert interrupted(server) == [HELLO]

    with_greeting(scenario)


def test_what_is_asked_for_while_the_greeting_is_said_waits_for_its_end() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("response.created")
        await caller.send(type="response.create", event_id="ask")
        await caller.until("response.done")
        await caller.until("response.done")

        assert "error" not in kinds(caller)
        first, second = opened(caller)
        assert (first, second != HELLO) == (HELLO, True)

    with_greeting(scenario)


def test_a_client_that_leaves_before_it_is_greeted_leaves_nothing_behind() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        call = next(iter(server.service._calls._calls.values()))
        await caller.socket.close()
        await asyncio.sleep(2 * GREETING_PAUSE_S)

        assert call.ended

    with_greeting(scenario)


@pytest.mark.parametrize(
    "word",
    [
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": []}},
        {"type": "response.create", "response": {"metadata": {"x" * 100: "y"}}},
    ],
)
def test_a_first_word_that_is_refused_costs_no_greeting(word: dict[str, object]) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(**word)
        await caller.until("error")
        await caller.until("response.created")

        assert opened(caller) == [HELLO]
        assert interrupted(server) == []

    with_greeting(scenario)


def test_a_call_that_ends_while_its_greeting_waits_is_over_for_its_client_at_once() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.until("session.created")
        call = next(iter(server.service._calls._calls.values()))
        since_s = asyncio.get_running_loop().time()
        call.end("hung_up")

        assert await caller.closed() == 1000
        assert asyncio.get_running_loop().time() - since_s < GREETING_PAUSE_S / 2
        assert opened(caller) == []

    with_greeting(scenario)
