"""What a request to the Responses API may hold: each field is honoured, means nothing, or is refused by name."""

import json
import typing
from typing import Any

import msgspec
import pytest
from openai.types.responses import response_create_params

from gateway.generating import AUTHORISED, Asker, asking
from trunkline.gateway.apis.responses.asked import MEANINGLESS, Asked
from trunkline.gateway.apis.responses.endpoint import BODY_LIMIT_BYTES
from trunkline.proto.generation import PROMPT_LIMIT_BYTES

TOOL = {"type": "function", "name": "sail", "parameters": {"type": "object", "properties": {}}}
CALL = {"type": "function_call", "call_id": "call_1", "name": "sail", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
USER = {"role": "user", "content": "Hello"}

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {  # what -> (fields, param, code)
    "no model": ({"model": None}, "model", "invalid_value"),
    "a model that is a number": ({"model": 7}, "model", "invalid_value"),
    "an unknown field": ({"colour": 1}, "colour", "unknown_parameter"),
    "no input": ({"input": None}, "input", "missing_required_parameter"),
    "an empty input": ({"input": []}, "input", "missing_required_parameter"),
    "an input that is a number": ({"input": 7}, "input", "invalid_value"),
    "an input of numbers": ({"input": [7]}, "input[0]", "invalid_value"),
    "an item of another kind": ({"input": [{"type": "web_search_call"}]}, "input[0].type", "not_supported"),
    "a message without a role": ({"input": [{"content": "x"}]}, "input[0].role", "missing_required_parameter"),
    "a message of a stranger": ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", "invalid_value"),
    "a message without content": ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
    "an unknown field of a message": ({"input": [USER | {"mood": 1}]}, "input[0].mood", "unknown_parameter"),
    "a phase of the user": ({"input": [USER | {"phase": "commentary"}]}, "input[0].phase", "invalid_value"),
    "an unknown phase": (
        {"input": [{"role": "assistant", "content": "x", "phase": "prologue"}]},
        "input[0].phase",
        "invalid_value",
    ),
    "a file": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        "input[0].content[0].type",
        "not_supported",
    ),
    "input text of the assistant": (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        "input[0].content[0].type",
        "not_supported",
    ),
    "an unknown detail": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f", "detail": "huge"}]}]},
        "input[0].content[0].detail",
        "invalid_value",
    ),
    "an id that is none": ({"input": [USER | {"id": "a b"}]}, "input[0].id", "invalid_value"),
    "an output without its call": ({"input": [OUTPUT]}, "input", "invalid_value"),
    "a call without its output": ({"input": [CALL]}, "input", "invalid_value"),
    "a call twice": ({"input": [CALL, OUTPUT, CALL]}, "input", "invalid_value"),
    "an output twice": ({"input": [CALL, OUTPUT, OUTPUT]}, "input", "invalid_value"),
    "an output before its call": ({"input": [OUTPUT, CALL]}, "input", "invalid_value"),
    "an output of nothing": ({"input": [CALL, OUTPUT | {"output": None}]}, "input[1].output", "invalid_value"),
    "a call without a name": ({"input": [CALL | {"name": ""}, OUTPUT]}, "input[0].name", "invalid_value"),
    "a built-in tool": ({"tools": [{"type": "web_search"}]}, "tools[0].type", "not_supported"),
    "a tool without a name": ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
    "a tool of an empty name": ({"tools": [TOOL | {"name": ""}]}, "tools[0].name", "invalid_value"),
    "a tool twice": ({"tools": [TOOL, TOOL]}, "tools[1].name", "invalid_value"),
    "a schema of no object": (
        {"tools": [TOOL | {"parameters": {"type": "string"}}]},
        "tools[0].parameters",
        "invalid_function_parameters",
    ),
    "a schema that is a list": ({"tools": [TOOL | {"parameters": []}]}, "tools[0].parameters", "invalid_value"),
    "a tool that is deferred": ({"tools": [TOOL | {"defer_loading": True}]}, "tools[0].defer_loading", "invalid_value"),
    "too many tools": ({"tools": [TOOL | {"name": f"t{n}"} for n in range(129)]}, "tools", "invalid_value"),
    "a choice that is none": ({"tool_choice": "maybe"}, "tool_choice", "invalid_value"),
    "a required tool of none": ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    "a choice of an unknown tool": (
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "row"}},
        "tool_choice.name",
        "invalid_value",
    ),
    "allowed tools": ({"tool_choice": {"type": "allowed_tools", "tools": []}}, "tool_choice.type", "not_supported"),
    "no tokens": ({"max_output_tokens": 0}, "max_output_tokens", "invalid_value"),
    "too hot": ({"temperature": 2.5}, "temperature", "invalid_value"),
    "an effort that is none": ({"reasoning": {"effort": "heroic"}}, "reasoning.effort", "invalid_value"),
    "a detailed summary": ({"reasoning": {"summary": "detailed"}}, "reasoning.summary", "not_supported"),
    "another mode": ({"reasoning": {"mode": "pro"}}, "reasoning.mode", "not_supported"),
    "a schema for the answer": (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}},
        "text.format.type",
        "not_supported",
    ),
    "a verbosity that is none": ({"text": {"verbosity": "epic"}}, "text.verbosity", "invalid_value"),
    "an include that is none": ({"include": ["weather"]}, "include[0]", "invalid_value"),
    "probabilities": ({"include": ["message.output_text.logprobs"]}, "include[0]", "not_supported"),
    "too much metadata": ({"metadata": {str(n): "x" for n in range(17)}}, "metadata", "invalid_value"),
    "metadata that is no text": ({"metadata": {"a": 1}}, "metadata[...]", "invalid_value"),
    "a name too long": ({"user": "a" * 513}, "user", "invalid_value"),
    "in the background": ({"background": True}, "background", "not_supported"),
    "a conversation": ({"conversation": "conv_1"}, "conversation", "not_supported"),
    "a prompt": ({"prompt": {"id": "pmpt_1"}}, "prompt", "not_supported"),
    "most likely tokens": ({"top_logprobs": 3}, "top_logprobs", "not_supported"),
    "a share of probability": ({"top_p": 0.5}, "top_p", "not_supported"),
    "true where a number is meant": ({"top_p": True}, "top_p", "not_supported"),
    "truncation": ({"truncation": "auto"}, "truncation", "not_supported"),
    "another tier": ({"service_tier": "flex"}, "service_tier", "not_supported"),
    "obfuscation": ({"stream_options": {"include_obfuscation": True}}, "stream_options", "not_supported"),
    "a cache's lifetime": ({"prompt_cache_options": {"ttl": "12h"}}, "prompt_cache_options", "not_supported"),
    "moderation": ({"moderation": {"model": "m"}}, "moderation", "not_supported"),
    "a response that isn't there": (
        {"previous_response_id": "resp_x"},
        "previous_response_id",
        "previous_response_not_found",
    ),
    "more than a prompt may have": (
        {"input": [USER | {"content": "a" * PROMPT_LIMIT_BYTES}], "store": False},
        "input",
        "context_length_exceeded",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_had_is_refused_by_name(what: str) -> None:
    fields, param, code = REFUSED[what]

    async def scenario(asker: Asker) -> None:
        error = await asker.refused(**({"given": fields["input"]} if "input" in fields else {}), **_others(fields))

        assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
        assert asker.worker.sessions == []

    asking(scenario)


def _others(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "input"}


NOTHING: list[dict[str, Any]] = [
    {name: value} for name, values in MEANINGLESS.items() for value in values if value is not None
] + [
    {"reasoning": {"effort": "minimal", "summary": "auto", "generate_summary": None, "context": "auto"}},
    {"include": ["reasoning.encrypted_content"]},
    {"text": {"format": {"type": "text"}}},
    {"max_tool_calls": 5},
    {"safety_identifier": "a", "prompt_cache_key": "b", "user": "c"},
    dict.fromkeys(field.name for field in msgspec.structs.fields(Asked) if field.name not in ("model", "input")),
]


def test_what_asks_for_nothing_is_accepted() -> None:
    async def scenario(asker: Asker) -> None:
        for fields in NOTHING:
            response = await asker.ask(**fields)

            assert response["status"] == "completed", fields

    asking(scenario)


def test_every_field_of_the_vendors_is_known() -> None:
    known = {field.name for field in msgspec.structs.fields(Asked)}

    of_vendor = set(typing.get_type_hints(response_create_params.ResponseCreateParamsStreaming))
    assert of_vendor - known == set()


BODIES: dict[str, tuple[bytes, int, str]] = {
    "no JSON": (b"{", 400, "invalid_json"),
    "no object": (b"[]", 400, "invalid_value"),
    "nothing": (b"", 400, "invalid_json"),
    "no text": (b'{"model": "\xff"}', 400, "invalid_json"),
    "too deep": (b'{"model": "gpt-5.5", "prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "invalid_json"),
    "a tool too deep": (
        b'{"model": "gpt-5.5", "input": "x", "tools": [' + b"[" * 900 + b"]" * 900 + b"]}",
        400,
        "invalid_value",
    ),
    "too large": (b" " * (BODY_LIMIT_BYTES + 1), 413, "too_large"),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_cannot_be_read_gets_the_vendors_error(what: str) -> None:
    body, status, code = BODIES[what]

    async def scenario(asker: Asker) -> None:
        headers = AUTHORISED | {"Content-Type": "application/json"}
        async with asker.server.client.post("/v1/responses", data=body, headers=headers) as answer:
            error = (await answer.json())["error"]

            assert (answer.status, error["code"]) == (status, code)

    asking(scenario)


def test_a_body_without_a_length_is_bounded_too() -> None:
    async def endless() -> typing.AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT_BYTES // 65_536 + 2):
            yield b" " * 65_536

    async def scenario(asker: Asker) -> None:
        headers = AUTHORISED | {"Content-Type": "application/json"}
        async with asker.server.client.post("/v1/responses", data=endless(), headers=headers) as answer:
            assert answer.status == 413
            assert "33554432" in (await answer.json())["error"]["message"]

    asking(scenario)


def test_a_body_of_another_type_and_a_wrong_key_are_refused() -> None:
    async def scenario(asker: Asker) -> None:
        body = json.dumps({"model": "gpt-5.5", "input": "x"}).encode()
        for headers, status in ((AUTHORISED, 415), ({"Authorization": "Bearer sk-wrong"}, 401)):
            async with asker.server.client.post("/v1/responses", data=body, headers=headers) as answer:
                assert answer.status == status

    asking(scenario)


@pytest.mark.parametrize("path", ["/v1/responses/compact", "/v1/responses/input_tokens", "/v1/responses/resp_x/cancel"])
def test_what_there_is_not_says_so(path: str) -> None:
    async def scenario(asker: Asker) -> None:
        status, body = await asker.post({}, path)

        assert (status, body["error"]["code"]) == (501, "not_supported")

    asking(scenario)


def test_a_kept_response_is_not_streamed_again() -> None:
    async def scenario(asker: Asker) -> None:
        async with asker.server.client.get("/v1/responses/resp_x?stream=true", headers=AUTHORISED) as answer:
            assert (answer.status, (await answer.json())["error"]["param"]) == (400, "stream")

    asking(scenario)
