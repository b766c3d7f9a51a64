"""A gateway's Responses API in front of an agent's worker whose model says what the test tells it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.scene import Session, Worker
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets
from trunkline.proto.envelope import Message
from trunkline.proto.generation import (
    Generate,
    Generated,
    GeneratedCall,
    GeneratedText,
    Prompt,
    PromptPart,
    decode_prompt,
)

DONE = Generated(7, 3, 2, 1)
AUTHORISED = {"Authorization": f"Bearer {KEY}"}
Body = dict[str, Any]
_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Mind:
    """Of an agent's worker: each prompt that is whole is answered with the next of `rounds`, then with the last again.

    silent: it says nothing by itself.
    """

    def __init__(self, *rounds: list[Message]) -> None:
        self.rounds = list(rounds) or [[GeneratedText("Fine.", "final_answer"), DONE]]
        self.prompts: list[Prompt] = []
        self.silent = False
        self.asked = asyncio.Event()

    def react(self, session: Session, message: Message) -> None:
        if not isinstance(message, PromptPart):
            return
        assert isinstance(session.order, Generate)
        parts = [part.data for part in session.all(PromptPart) if isinstance(part, PromptPart)]
        if len(parts) < session.order.parts:
            return
        data = b"".join(parts)
        assert len(data) == session.order.size
        self.prompts.append(decode_prompt(data))
        self.asked.set()
        if self.silent:
            return
        said = self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]
        for one in said:
            session.say(one)

    @property
    def prompt(self) -> Prompt:
        """The last."""
        return self.prompts[-1]


class Asker:
    """A client of the Responses API that checks all it gets against the vendor's types."""

    def __init__(self, server: Server, mind: Mind) -> None:
        self.server = server
        self.mind = mind

    @property
    def worker(self) -> Worker:
        return self.server.scene.agent

    async def post(self, body: object, path: str = "/v1/responses", **headers: str) -> tuple[int, Body]:
        async with self.server.client.post(path, json=body, headers=AUTHORISED | headers) as answer:
            return answer.status, await answer.json()

    async def ask(self, given: object = "Hello", **fields: object) -> Body:
        """A response that isn't streamed and is no error."""
        status, body = await self.post({"model": "gpt-5.5", "input": given, **fields})
        assert status == 200, body
        Response.model_validate(body)
        return body

    async def refused(self, given: object = "Hello", *, status: int = 400, **fields: object) -> Body:
        """The error."""
        found, body = await self.post({"model": "gpt-5.5", "input": given, **fields})
        assert found == status, body
        assert set(body["error"]) == {"message", "type", "param", "code"}
        error: Body = body["error"]
        return error

    def stream(self, given: object = "Hello", **fields: object) -> "aiohttp.client._BaseRequestContextManager[Any]":
        body = {"model": "gpt-5.5", "input": given, "stream": True, **fields}
        return self.server.client.post("/v1/responses", json=body, headers=AUTHORISED)

    async def events(self, given: object = "Hello", **fields: object) -> list[Body]:
        """Of a whole stream."""
        async with self.stream(given, **fields) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "text/event-stream"
            return read_events(await answer.text())


def read_events(text: str) -> list[Body]:
    """Each of the vendor's type, under its own name, numbered without gaps."""
    blocks = text.split("\n\n")
    assert blocks.pop() == ""
    events: list[Body] = []
    for number, block in enumerate(blocks):
        name, data = block.split("\n")
        event = msgspec.json.decode(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        _event.validate_python(event)
        events.append(event)
    return events


def kinds(events: list[Body]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def call(name: str = "get_weather", arguments: str = '{"city":"Oslo"}', tool_call: str = "call_1") -> GeneratedCall:
    return GeneratedCall(tool_call, name, arguments)


def asking(scenario: Callable[[Asker], Awaitable[None]], *rounds: list[Message], **settings: object) -> None:
    """Runs the scenario over real sockets, on virtual time. rounds: of the Mind."""

    async def main() -> None:
        async with Server(**settings) as server:
            mind = Mind(*rounds)
            server.scene.agent._react = mind.react
            await scenario(Asker(server, mind))

    run_over_sockets(main())
