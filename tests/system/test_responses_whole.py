"""POST /v1/responses from a client's socket to the local model and back, through all services in one process."""

from typing import Any

import aiohttp

from gateway.generating import read_events
from support.virtual import run_over_sockets
from system.whole import KEY, Whole

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "name": "get_weather", "description": "Get the weather in a city.", "parameters": CITY}


async def ask(whole: Whole, number: int = 0, **body: Any) -> list[Any]:
    """number: of the gateway. The events of a stream."""
    address = whole.addresses[number]
    headers = {"Authorization": f"Bearer {KEY}"}
    body = {"model": "gpt-5.5", "stream": True, "tools": [TOOL], **body}
    async with (
        aiohttp.ClientSession(address.base, headers=headers) as client,
        client.post("/v1/responses", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return read_events(await answer.text())


def test_the_local_model_asks_for_the_clients_tool_and_tells_what_came_of_it_at_another_gateway() -> None:
    async def main() -> None:
        async with Whole("", gateways=2) as whole:
            first = (await ask(whole, input="What is the weather in Oslo?"))[-1]["response"]
            (call,) = [item for item in first["output"] if item["type"] == "function_call"]
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": '"It rains in Oslo."'}
            second = (await ask(whole, 1, input=[output], previous_response_id=first["id"]))[-1]["response"]

            assert (call["name"], call["arguments"]) == ("get_weather", '{"city":"Oslo"}')
            assert [item["phase"] for item in first["output"] if item["type"] == "message"] in ([], ["commentary"])
            (message,) = second["output"]
            assert message["phase"] == "final_answer"
            assert "rains in Oslo" in message["content"][0]["text"]
            assert await whole.store.summaries() == []  # a request is no call

    run_over_sockets(main())


def test_the_silence_of_the_guides_program_is_answered_too() -> None:
    async def main() -> None:
        async with Whole("") as whole:
            events = await ask(whole, input=[{"role": "user", "content": ""}], include=[])

            assert events[-1]["type"] == "response.completed"
            assert events[-1]["response"]["output"][0]["content"][0]["text"]

    run_over_sockets(main())
