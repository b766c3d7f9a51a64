"""What the model is told: the conversation before, the request's own input, its tools and wishes. Pure."""

from collections.abc import Sequence

from trunkline.gateway.apis.responses.asked import Asked, ReasoningWish, TextWish
from trunkline.gateway.apis.responses.items import FunctionCall, FunctionOutput, Images, Item, told
from trunkline.gateway.apis.responses.tools import ChosenFunction, FunctionTool, ToolChoice, described
from trunkline.proto.errors import BadInput
from trunkline.proto.generation import PROMPT_LIMIT_BYTES, Prompt, encode_prompt


def paired(items: Sequence[Item]) -> list[Item]:
    """Each call with its output behind it, each once; a call that the model didn't finish is left out where nobody has
    answered it. Raises BadInput, in the vendor's words."""
    calls: dict[str, FunctionCall] = {}
    answered: set[str] = set()
    for item in items:
        match item:
            case FunctionCall(call_id=call_id):
                if call_id in calls:
                    raise BadInput("input", f"Duplicate function call with call_id {call_id}", "each once")
                calls[call_id] = item
            case FunctionOutput(call_id=call_id):
                if call_id not in calls:
                    problem = f"No tool call found for function call output with call_id {call_id}."
                    raise BadInput("input", problem, "")
                if call_id in answered:
                    raise BadInput("input", f"Duplicate tool output for function call {call_id}", "each once")
                answered.add(call_id)
    left = calls.keys() - answered
    for call_id, call in calls.items():
        if call_id in left and call.status == "completed":
            raise BadInput("input", f"No tool output found for function call {call_id}.", "")
    return [item for item in items if not (isinstance(item, FunctionCall) and item.call_id in left)]


def encoded_prompt(
    asked: Asked,
    model: str,
    items: Sequence[Item],
    images: Images,
    tools: tuple[FunctionTool, ...],
    choice: ToolChoice,
) -> bytes:
    """items: paired. model: as the engine knows it. Raises BadInput."""
    reasoning, text = asked.reasoning or ReasoningWish(), asked.text or TextWish()
    prompt = Prompt(
        instructions=asked.instructions or "",
        items=tuple(told(item, images) for item in items),
        tools=described(tools),
        tool_choice=choice.name if isinstance(choice, ChosenFunction) else choice,
        model=model,
        parallel=asked.parallel_tool_calls,
        max_output_tokens=asked.max_output_tokens or 0,
        effort=reasoning.effort or "",
        temperature=asked.temperature,
        verbosity=text.verbosity or "",
    )
    data = encode_prompt(prompt)
    if len(data) > PROMPT_LIMIT_BYTES:
        problem = f"is {len(data)} bytes with all that comes before it"
        raise BadInput("input", problem, f"{PROMPT_LIMIT_BYTES} bytes", code="context_length_exceeded")
    return data
