"""A model asked directly, by one request of the HTTP APIs: what it is told, and what it says. No call, no record.

The order goes in parts, since a conversation can be larger than a message on the bus may be.
"""

import msgspec

from trunkline.proto.errors import Undecodable
from trunkline.proto.response import Inserted, Phase
from trunkline.proto.tool import DescribedTool

PART_BYTES = 128 * 1024
PROMPT_LIMIT_BYTES = 4 * 1024 * 1024  # of an encoded Prompt


class Generate(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="generate"):
    """Gateway -> agent: place a request, which is answered with Accepted; so many PromptPart follow. size: bytes in
    all."""

    parts: int
    size: int


class PromptPart(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="prompt_part"):
    """Gateway -> agent: the next PART_BYTES at most of an encoded Prompt. The last one begins the generation."""

    data: bytes


class Prompt(msgspec.Struct, frozen=True, array_like=True):
    """One round of the model, whole.

    model: as its asker names it, for the model's engine to choose by; empty for the engine's own. items: oldest first,
    no "reference" among them. tool_choice: "auto", "required", "none" or a tool's name.
    parallel, temperature: None for the model's own. max_output_tokens: 0, effort, verbosity: empty likewise.
    """

    instructions: str
    items: tuple[Inserted, ...]
    tools: tuple[DescribedTool, ...] = ()
    tool_choice: str = "auto"
    model: str = ""
    parallel: bool | None = None
    max_output_tokens: int = 0
    effort: str = ""
    temperature: float | None = None
    verbosity: str = ""


class GeneratedText(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="generated_text"):
    """Agent -> gateway: the next words of a message. phase: None where the model doesn't say (yet)."""

    text: str
    phase: Phase | None = None


class GeneratedMessageEnded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="generated_message_ended"):
    """Agent -> gateway: words that follow belong to another message."""


class GeneratedCall(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="generated_call"):
    """Agent -> gateway: a tool that the asker is to run. arguments: JSON object."""

    tool_call: str
    name: str
    arguments: str


class Generated(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="generated"):
    """Agent -> gateway: the last word of a generation that came to its end. cached_tokens: of the input;
    reasoning_tokens: of the output. incomplete: "max_output_tokens" or "content_filter" where the model stopped before
    its end, else empty. model: that answered, as its endpoint calls it, empty where there is none."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    incomplete: str = ""
    model: str = ""


class GenerationFailed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="generation_failed"):
    """Agent -> gateway: the last word of one that didn't. code, param, message: for the asker; bad_request: what it
    asked can't be done, wherever it asks again."""

    code: str
    message: str
    param: str = ""
    bad_request: bool = False


_prompts = msgspec.msgpack.Decoder(Prompt)


def encode_prompt(prompt: Prompt) -> bytes:
    return msgspec.msgpack.encode(prompt)


def decode_prompt(data: bytes) -> Prompt:
    """Raises Undecodable."""
    try:
        return _prompts.decode(data)
    except msgspec.MsgspecError as error:
        raise Undecodable(f"prompt: {error}") from error
