"""The SDK's handoffs: named and described as the SDK does it, and filters that see what they would see there."""

from typing import Any

import pytest
from agents import Agent, HandoffInputData, function_tool, handoff
from agents.extensions.handoff_filters import remove_all_tools
from agents.handoffs import nest_handoff_history

from agents_sdk.referee import Call, Say, run
from support.virtual import run_virtual
from trunkline.agents import Agent as OurAgent
from trunkline.agents import Said
from trunkline.agents.sdk.adopt import adopt
from trunkline.agents.sdk.history import filter_of

BEFORE = [
    Said("user", "Hello."),
    Said("assistant", "One moment.", "commentary"),
    Said("tool_call", '{"place": "here"}', tool="look", id="call_0"),
    Said("tool_output", "seen", tool="look", id="call_0"),
    Said("assistant", "Here I am.", "final_answer"),
    Said("user", "And there?"),
    Said("tool_call", '{"place": "there"}', tool="look", id="call_1"),
    Said("tool_output", "there", tool="look", id="call_1"),
]


@function_tool
def look(place: str) -> str:
    """Look."""
    return place


def newest(data: HandoffInputData) -> HandoffInputData:
    return data.clone(input_history=data.input_history[-1:])


def nothing_new(data: HandoffInputData) -> HandoffInputData:
    return data.clone(pre_handoff_items=(), new_items=())


def summary(data: HandoffInputData) -> HandoffInputData:
    return HandoffInputData(input_history=f"{len(data.input_history)} items before", pre_handoff_items=(), new_items=())


def model_input_only(data: HandoffInputData) -> HandoffInputData:
    return data.clone(input_items=())


def as_items(said: list[Said]) -> list[dict[str, Any]]:
    """As the SDK's model is told of it."""
    items: list[dict[str, Any]] = []
    for one in said:
        if one.kind == "tool_call":
            call = {"type": "function_call", "call_id": one.id, "name": one.tool, "arguments": one.text}
            items.append(call)
        elif one.kind == "tool_output":
            items.append({"type": "function_call_output", "call_id": one.id, "output": one.text})
        else:
            items.append({"role": one.kind, "content": one.text})
    return items


def told(items: list[Any]) -> list[Said]:
    """What a model is told, but for handing over itself and for phases."""
    kept = []
    for item in items:
        if item.get("call_id") == "call_2":
            continue
        if item.get("type") == "function_call":
            kept.append(Said("tool_call", item["arguments"], tool=item["name"], id=item["call_id"]))
        elif item.get("type") == "function_call_output":
            kept.append(Said("tool_output", item["output"], tool="look", id=item["call_id"]))
        else:
            content = item["content"]
            text = content if isinstance(content, str) else content[0]["text"]
            kept.append(Said(item["role"], text))
    return kept


@pytest.mark.parametrize("filter_", [remove_all_tools, newest, nothing_new, summary, model_input_only])
def test_a_filter_leaves_what_it_would_leave_in_the_sdks_runner(filter_: Any) -> None:
    other = Agent("Other", tools=[look])
    agent = Agent("Desk", tools=[look], handoffs=[handoff(other, input_filter=filter_)])
    script = [[Call("call_1", "look", '{"place": "there"}')], [Call("call_2", "transfer_to_other", "{}")], [Say("Hi.")]]
    _, model = run_virtual(run(agent, as_items(BEFORE[:6]), script))  # type: ignore[arg-type]  # a list of items
    given = accepted(agent).handoff_by("transfer_to_other")
    assert given is not None
    assert given.filter is not None

    left = [Said(one.kind, one.text, None, one.tool, one.id) for one in given.filter(BEFORE)]

    assert left == told(model.asked[-1].items)


def test_a_filter_keeps_phases_and_is_the_same_each_time() -> None:
    made = filter_of(remove_all_tools, Agent("Desk"), "go")

    assert list(made(BEFORE)) == [BEFORE[0], BEFORE[1], BEFORE[4], BEFORE[5]]
    assert made(BEFORE) == made(BEFORE)


def test_a_filter_that_changes_nothing_changes_nothing() -> None:
    assert list(filter_of(lambda data: data, Agent("Desk"), "go")(BEFORE)) == BEFORE
    assert list(filter_of(lambda data: data, Agent("Desk"), "go")([])) == []


def test_a_nested_history_is_one_message() -> None:
    agent = accepted(Agent("Desk", handoffs=[handoff(Agent("Other"), nest_handoff_history=True)]))
    made = agent.handoff_by("transfer_to_other")
    assert made is not None
    assert made.filter is not None

    (message,) = [one for one in made.filter(BEFORE) if one.kind in ("user", "assistant")]

    assert "Here I am." in message.text
    assert nest_handoff_history is not None


@pytest.mark.parametrize("name", ["Refund desk", "Übersicht", "a-b", "UPPER_case", "C3PO's"])
def test_names_and_descriptions_are_the_sdks(name: str) -> None:
    other = Agent(name, handoff_description="Knows more.")
    agent = Agent("Desk", handoffs=[other])
    _, model = run_virtual(run(agent, "Hi.", [[Say("Hi.")]]))

    (offer,) = accepted(agent).offered

    assert {offer.name: offer.description} == {key: words for key, (words, _) in model.asked[0].offers.items()}


def test_overrides_are_kept_and_a_disabled_handoff_is_not_offered() -> None:
    other = Agent("Other")
    named = handoff(other, tool_name_override="go_on", tool_description_override="Go on.")
    agent = accepted(Agent("Desk", handoffs=[named, handoff(Agent("Third"), is_enabled=False)]))

    assert [(tool.name, tool.description) for tool in agent.offered] == [("go_on", "Go on.")]


def accepted(agent: Agent[Any]) -> OurAgent:
    return adopt({"agent": agent}, "")["agent"]
