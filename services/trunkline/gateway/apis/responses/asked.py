"""The body of POST /v1/responses: each field is honoured, accepted at a value that means nothing, or refused by name.

Pure. Fields and limits: the vendor's API reference, and its client's types (`ResponseCreateParams`).
"""

from collections.abc import Mapping

import msgspec

from trunkline.agents.settings import EFFORTS, VERBOSITIES
from trunkline.gateway.validation import read_json, require_metadata
from trunkline.proto.errors import BadInput

NULL = msgspec.Raw(b"null")
LABEL_LIMIT = 512  # characters of a name that a client gives to itself
TOKENS_LIMIT = 1_000_000
TEMPERATURE_LIMIT = 2.0
INCLUDABLE = (
    "reasoning.encrypted_content",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
)
"""Of what no response here ever has, so nothing is missing without them."""
NOT_INCLUDED = ("message.input_image.image_url", "message.output_text.logprobs")
MEANINGLESS: Mapping[str, tuple[object, ...]] = {
    "access_programs": (None, {}, {"cyber": "standard"}),
    "background": (None, False),
    "background_options": (None, {}),
    "context_management": (None, []),
    "conversation": (None,),
    "image": (None, {}, {"context_compression": "auto"}, {"context_compression": "disabled"}),
    "moderation": (None,),
    "prompt": (None,),
    "prompt_cache_options": (None, {}, {"mode": "implicit"}),
    "prompt_cache_retention": (None, "in_memory", "24h"),
    "service_tier": (None, "auto", "default"),
    "stream_options": (None, {}, {"include_obfuscation": False}),
    "top_logprobs": (None, 0),
    "top_p": (None, 1),
    "truncation": (None, "disabled"),
}
"""Fields that can't be honoured, and their values that ask for nothing. There is no cache, so nothing outlives it."""


class ReasoningWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None


class Format(msgspec.Struct, frozen=True):
    type: str


class TextWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Format | None = None
    verbosity: str | None = None


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    input: str | list[msgspec.Raw] | None = None
    instructions: str | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: msgspec.Raw = NULL
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    reasoning: ReasoningWish | None = None
    text: TextWish | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    access_programs: object = None
    background: object = None
    background_options: object = None
    context_management: object = None
    conversation: object = None
    image: object = None
    moderation: object = None
    prompt: object = None
    prompt_cache_options: object = None
    prompt_cache_retention: str | None = None
    service_tier: object = None
    stream_options: object = None
    top_logprobs: object = None
    top_p: object = None
    truncation: object = None


_asked = msgspec.json.Decoder(Asked)


def read_asked(body: bytes) -> Asked:
    """Raises BadInput."""
    asked = read_json(body, _asked)
    _require_input(asked)
    _require_meaningless(asked)
    _require_included(asked.include or [])
    _require_limits(asked)
    require_metadata("metadata", asked.metadata or {})
    _require_wishes(asked.reasoning or ReasoningWish(), asked.text or TextWish())
    return asked


def _require_input(asked: Asked) -> None:
    if asked.input is None or (asked.input == [] and asked.previous_response_id is None):
        allowed = "text or a list of items" + (" (which may be empty)" if asked.previous_response_id else "")
        raise BadInput("input", "is missing", allowed, code="missing_required_parameter")


def _require_meaningless(asked: Asked) -> None:
    for name, values in MEANINGLESS.items():
        given = getattr(asked, name)
        if not any(given == value and isinstance(given, bool) == isinstance(value, bool) for value in values):
            shown = msgspec.json.encode(given).decode()[:80]
            allowed = " or ".join(["leave it out", *(msgspec.json.encode(value).decode() for value in values[1:])])
            raise BadInput(name, f"{shown} is not supported", allowed, code="not_supported")


def _require_included(names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in NOT_INCLUDED:
            allowed = "leave it out"
            raise BadInput(f"include[{number}]", f"{name!r} is not supported", allowed, code="not_supported")
        if name not in INCLUDABLE:
            raise BadInput(f"include[{number}]", f"is {name[:80]!r}", ", ".join(INCLUDABLE))


def _require_limits(asked: Asked) -> None:
    for name, most in (("max_output_tokens", TOKENS_LIMIT), ("max_tool_calls", TOKENS_LIMIT)):
        value: int | None = getattr(asked, name)
        if value is not None and not 1 <= value <= most:
            raise BadInput(name, f"is {value}", f"1 to {most}")
    if asked.temperature is not None and not 0.0 <= asked.temperature <= TEMPERATURE_LIMIT:
        raise BadInput("temperature", f"is {asked.temperature:g}", f"0 to {TEMPERATURE_LIMIT:g}")
    for name in ("user", "safety_identifier", "prompt_cache_key"):
        label: str | None = getattr(asked, name)
        if label is not None and len(label) > LABEL_LIMIT:
            raise BadInput(name, f"has {len(label)} characters", f"up to {LABEL_LIMIT}")


def _require_wishes(reasoning: ReasoningWish, text: TextWish) -> None:
    """Reasoning is shown to nobody, so an automatic summary of it is none."""
    _require_one("reasoning.effort", reasoning.effort, *EFFORTS[1:])
    _require_one("text.verbosity", text.verbosity, *VERBOSITIES[1:])
    _require_one("reasoning.summary", reasoning.summary, "auto", code="not_supported")
    _require_one("reasoning.generate_summary", reasoning.generate_summary, "auto", code="not_supported")
    _require_one("reasoning.context", reasoning.context, "auto", "current_turn", code="not_supported")
    _require_one("reasoning.mode", reasoning.mode, "standard", code="not_supported")
    _require_one("text.format.type", text.format.type if text.format else None, "text", code="not_supported")


def _require_one(param: str, given: str | None, *allowed: str, code: str = "invalid_value") -> None:
    if given is not None and given not in allowed:
        raise BadInput(param, f"{given[:80]!r} is not supported", ", ".join(allowed), code=code)
