"""A response as its client reads it, with all that it was asked. Pure. Source: the vendor's type `Response`."""

from typing import Literal

import msgspec

from trunkline.gateway.apis.responses.asked import Asked, Format, ReasoningWish, TextWish
from trunkline.gateway.apis.responses.items import OutputItem
from trunkline.gateway.apis.responses.tools import FunctionTool, ToolChoice
from trunkline.proto.generation import Generated

Status = Literal["in_progress", "completed", "incomplete", "failed"]
ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
"""Those of the vendor's that are given."""


class CachedTokens(msgspec.Struct, frozen=True):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class ReasoningTokens(msgspec.Struct, frozen=True):
    reasoning_tokens: int = 0


class Usage(msgspec.Struct, frozen=True):
    input_tokens: int
    input_tokens_details: CachedTokens
    output_tokens: int
    output_tokens_details: ReasoningTokens
    total_tokens: int


class Error(msgspec.Struct, frozen=True):
    code: ErrorCode
    message: str


class IncompleteDetails(msgspec.Struct, frozen=True):
    reason: Literal["max_output_tokens", "content_filter"]


class Reasoning(msgspec.Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None


class TextConfig(msgspec.Struct, frozen=True):
    format: Format
    verbosity: str | None = None


class Response(msgspec.Struct, frozen=True):
    """created_at, completed_at: seconds since 1970. model: as the client named it. store: whether it is kept.

    temperature, top_p: null for the model's own.
    """

    id: str
    created_at: int
    status: Status
    model: str
    output: tuple[OutputItem, ...] = ()
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    reasoning: Reasoning = Reasoning()
    text: TextConfig = TextConfig(Format("text"))
    metadata: dict[str, str] = {}
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    store: bool = True
    completed_at: int | None = None
    error: Error | None = None
    incomplete_details: IncompleteDetails | None = None
    usage: Usage | None = None
    object: Literal["response"] = "response"
    background: Literal[False] = False
    service_tier: Literal["default"] = "default"
    top_logprobs: Literal[0] = 0
    top_p: None = None
    truncation: Literal["disabled"] = "disabled"


def new_response(
    name: str, asked: Asked, tools: tuple[FunctionTool, ...], choice: ToolChoice, created_at: int
) -> Response:
    """name: its id. It is in progress, and nothing is said yet."""
    reasoning, text = asked.reasoning or ReasoningWish(), asked.text or TextWish()
    return Response(
        id=name,
        created_at=created_at,
        status="in_progress",
        model=asked.model,
        instructions=asked.instructions,
        previous_response_id=asked.previous_response_id,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        max_output_tokens=asked.max_output_tokens,
        max_tool_calls=asked.max_tool_calls,
        temperature=asked.temperature,
        reasoning=Reasoning(reasoning.effort, reasoning.summary or reasoning.generate_summary),
        text=TextConfig(Format("text"), text.verbosity),
        metadata=asked.metadata or {},
        user=asked.user,
        safety_identifier=asked.safety_identifier,
        prompt_cache_key=asked.prompt_cache_key,
        store=asked.store is not False,
    )


def usage_of(generated: Generated) -> Usage:
    return Usage(
        generated.input_tokens,
        CachedTokens(generated.cached_tokens),
        generated.output_tokens,
        ReasoningTokens(generated.reasoning_tokens),
        generated.input_tokens + generated.output_tokens,
    )
