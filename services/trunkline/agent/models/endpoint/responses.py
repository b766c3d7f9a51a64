"""The Responses API: a round's request, and what the endpoint is told of the conversation.

Phases go back exactly as they are in the history. Source: the vendor's API reference, `POST /v1/responses`.
"""

from collections.abc import Sequence

from trunkline.agent.models.endpoint.options import Endpoint, Options
from trunkline.agent.models.endpoint.parts import parts_of
from trunkline.agent.models.endpoint.responses_reader import ResponsesReader
from trunkline.agent.models.pictures import Shown
from trunkline.agent.models.seam import HistoryItem, MessageItem, ModelRequest, ToolCallItem, ToolOffer, ToolOutputItem
from trunkline.proto.image import Detail, ShownImage


class ResponsesWire:
    name = "responses"
    path = "/responses"

    def __init__(self, options: Options) -> None:
        self._sends_phase = options.sends_phase

    def detail(self, asked: Detail) -> Detail:
        return asked

    def body(self, request: ModelRequest, model: str, shown: Shown) -> dict[str, object]:
        """shown: what becomes of each picture in it."""
        settings = request.settings
        body: dict[str, object] = {
            "model": model,
            "input": [self._item(item, shown) for item in request.items],
            "stream": True,
            "store": False,
        }
        if request.instructions:
            body["instructions"] = request.instructions
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            if settings.tool_choice != "auto":
                body["tool_choice"] = _tool_choice(settings.tool_choice)
            if settings.parallel_tool_calls is not None:
                body["parallel_tool_calls"] = settings.parallel_tool_calls
        if settings.reasoning_effort:
            body["reasoning"] = {"effort": settings.reasoning_effort}
        if settings.verbosity:
            body["text"] = {"verbosity": settings.verbosity}
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.max_output_tokens is not None:
            body["max_output_tokens"] = settings.max_output_tokens
        if key := settings.prompt_cache_key or request.agent:
            body["prompt_cache_key"] = key
        return body

    def reader(self, endpoint: Endpoint) -> ResponsesReader:
        return ResponsesReader(endpoint)

    def _item(self, item: HistoryItem, shown: Shown) -> dict[str, object]:
        match item:
            case MessageItem("user" | "system" as role, _, text, images):
                return {"type": "message", "role": role, "content": _content(text, images, shown)}
            case MessageItem(_, phase, text):
                content = [{"type": "output_text", "text": text}]
                message: dict[str, object] = {"type": "message", "role": "assistant", "content": content}
                return message | {"phase": phase} if phase is not None and self._sends_phase else message
            case ToolCallItem(id, name, arguments):
                return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}
            case ToolOutputItem(id, output, _, images):
                return {"type": "function_call_output", "call_id": id, "output": _content(output, images, shown)}


def _content(text: str, images: Sequence[ShownImage], shown: Shown) -> object:
    if not images:
        return text
    return [
        {"type": "input_text", "text": part}
        if isinstance(part, str)
        else {"type": "input_image", "image_url": part.url, "detail": part.detail}
        for part in parts_of(text, images, shown)
    ]


def _tool(tool: ToolOffer) -> dict[str, object]:
    """Not strict, which this API takes for granted: that would make every parameter a required one."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _tool_choice(choice: str) -> object:
    return choice if choice in ("auto", "required", "none") else {"type": "function", "name": choice}
