"""The Chat Completions API: a round's request. Source: the vendor's API reference, `POST /v1/chat/completions`."""

from trunkline.agent.models.endpoint.chat_messages import messages_of
from trunkline.agent.models.endpoint.chat_reader import ChatReader
from trunkline.agent.models.endpoint.options import Endpoint, Options
from trunkline.agent.models.pictures import Shown
from trunkline.agent.models.seam import ModelRequest, ToolOffer
from trunkline.proto.image import Detail


class ChatWire:
    name = "chat"
    path = "/chat/completions"

    def __init__(self, options: Options) -> None:
        self._sends_phase = options.sends_phase
        self._max_tokens_key = options.max_tokens_key

    def detail(self, asked: Detail) -> Detail:
        """This API knows no "original"."""
        return "high" if asked == "original" else asked

    def body(self, request: ModelRequest, model: str, shown: Shown) -> dict[str, object]:
        """shown: what becomes of each picture in it."""
        settings = request.settings
        body: dict[str, object] = {
            "model": model,
            "messages": messages_of(request.instructions, request.items, shown, sends_phase=self._sends_phase),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            if settings.tool_choice != "auto":
                body["tool_choice"] = _tool_choice(settings.tool_choice)
            if settings.parallel_tool_calls is not None:
                body["parallel_tool_calls"] = settings.parallel_tool_calls
        if settings.reasoning_effort:
            body["reasoning_effort"] = settings.reasoning_effort
        if settings.verbosity:
            body["verbosity"] = settings.verbosity
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.max_output_tokens is not None:
            body[self._max_tokens_key] = settings.max_output_tokens
        if settings.prompt_cache_key:  # only where it is wished for: many endpoints don't know it
            body["prompt_cache_key"] = settings.prompt_cache_key
        return body

    def reader(self, endpoint: Endpoint) -> ChatReader:
        return ChatReader(endpoint)


def _tool(tool: ToolOffer) -> dict[str, object]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> object:
    if choice in ("auto", "required", "none"):
        return choice
    return {"type": "function", "function": {"name": choice}}
