"""The referee: the SDK's own runner on a scripted model, and what it told the model, ran and decided."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

from agents import Agent, FunctionTool, ModelResponse, RunConfig, RunHooks, Runner, Usage
from agents.models.interface import Model
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from trunkline.agents import AgentFile, load_agent_file

HANDOFFS = ("transfer_to_", "to_")  # how their tools are named in the files here
DATA = Path(__file__).parents[1] / "data" / "agents_sdk"


class Say(NamedTuple):
    text: str


class Call(NamedTuple):
    id: str
    name: str
    arguments: str


Round = Sequence[Say | Call]


@dataclass
class Asked:
    """What the model was told in one round. offers: tools and handoffs by name, with description and schema."""

    instructions: str | None
    items: list[Any]
    offers: dict[str, tuple[str, dict[str, Any]]]


@dataclass
class Scripted(Model):
    rounds: Sequence[Round]
    asked: list[Asked] = field(default_factory=list)

    async def get_response(  # type: ignore[override]  # the rest is of no matter here
        self,
        system_instructions: str | None,
        input: str | list[Any],
        model_settings: Any,
        tools: list[Any],
        output_schema: Any,
        handoffs: list[Any],
        *others: Any,
        **more: Any,
    ) -> ModelResponse:
        offers = {t.name: (t.description, t.params_json_schema) for t in tools if isinstance(t, FunctionTool)}
        offers |= {h.tool_name: (h.tool_description, h.input_json_schema) for h in handoffs}
        items: list[Any] = [{"role": "user", "content": input}] if isinstance(input, str) else list(input)
        self.asked.append(Asked(system_instructions, items, offers))
        steps = self.rounds[len(self.asked) - 1]
        return ModelResponse([_output(step) for step in steps], Usage(), None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def _output(step: Say | Call) -> Any:
    if isinstance(step, Call):
        return ResponseFunctionToolCall(type="function_call", call_id=step.id, name=step.name, arguments=step.arguments)
    text = ResponseOutputText(type="output_text", text=step.text, annotations=[])
    return ResponseOutputMessage(id="msg", type="message", role="assistant", status="completed", content=[text])


async def run(agent: Agent[Any], words: str, rounds: Sequence[Round], context: object = None) -> tuple[Any, Scripted]:
    """The result of the SDK's runner, and what its model was asked. Raises what the runner raises."""
    model = Scripted(rounds)
    return await Runner.run(agent, words, context=context, run_config=RunConfig(model=model)), model


def outputs(model: Scripted) -> dict[str, str]:
    """What the model read of each tool call, by its id."""
    return {i["call_id"]: i["output"] for i in model.asked[-1].items if i.get("type") == "function_call_output"}


def load(name: str, chosen: str = "") -> AgentFile:
    return load_agent_file(f"{DATA / name}:{chosen}" if chosen else str(DATA / name))


def of_sdk(file: AgentFile, variable: str) -> Any:
    """The SDK's own object in the file that was loaded; None where there is no such variable."""

    return getattr(sys.modules[f"trunkline_agent_file_{file.path.stem}"], variable, None)


def written(directory: Path, text: str, name: str = "") -> AgentFile:
    path = directory / "desk.py"
    path.write_text(text)
    return load_agent_file(f"{path}:{name}" if name else str(path))


class Run(NamedTuple):
    """As `agents_sdk.scene.Ran`; offers and instructions: by round."""

    calls: list[Call]
    outputs: dict[str, str]
    to: list[str]
    said: list[str]
    offers: list[list[str]]
    instructions: list[str | None]
    told: list[list[tuple[str, str]]]


class HandedOver(RunHooks[Any]):
    def __init__(self) -> None:
        self.to: list[str] = []

    async def on_handoff(self, context: Any, from_agent: Any, to_agent: Any) -> None:
        self.to.append(to_agent.name)


async def converse(
    agent: Agent[Any], turns: Sequence[str], rounds: Sequence[Round], context: object, approve: bool = True
) -> Run:
    """A conversation on the SDK's own runner, one run for each turn; whatever asks for approval is decided."""
    model, hooks = Scripted(rounds), HandedOver()
    config = RunConfig(model=model)
    before: list[Any] = []
    said: list[str] = []
    for words in turns:
        given = [*before, {"role": "user", "content": words}]
        result = await Runner.run(agent, given, context=context, run_config=config, hooks=hooks)
        while result.interruptions:
            state = result.to_state()
            for asked in result.interruptions:
                state.approve(asked) if approve else state.reject(asked)
            result = await Runner.run(agent, state, run_config=config, hooks=hooks)
        said.append(result.final_output)
        before, agent = result.to_input_list(mode="normalized"), result.last_agent
    made = [step for steps in rounds[: len(model.asked)] for step in steps if isinstance(step, Call)]
    read = [item for asked in model.asked for item in asked.items if item.get("type") == "function_call_output"]
    return Run(
        made,
        {item["call_id"]: item["output"] for item in read},
        hooks.to,
        said,
        [list(asked.offers) for asked in model.asked],
        [asked.instructions for asked in model.asked],
        [told(asked.items) for asked in model.asked],
    )


def told(items: Sequence[Any]) -> list[tuple[str, str]]:
    """What a model is told of the conversation, each output behind its call; but for what came of handing over."""
    outputs = {item["call_id"]: item["output"] for item in items if item.get("type") == "function_call_output"}
    made = []
    for item in items:
        match item:
            case {"type": "function_call", "call_id": key, "name": str(name), "arguments": arguments}:
                made += [(name, arguments), ("output", "" if name.startswith(HANDOFFS) else outputs[key])]
            case {"role": role, "content": str(content)}:
                made.append((role, content))
            case {"role": role, "content": [{"text": text}]}:
                made.append((role, text))
    return made
