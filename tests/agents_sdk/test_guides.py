"""Programs for the Agents SDK, unchanged: what their agents offer and run equals what the SDK's own runner does."""

import json
from typing import Any

import pytest

from agents_sdk.referee import Call, Say, load, of_sdk, outputs, run
from support.virtual import run_virtual
from trunkline.agents import Agent, AgentFile, ToolContext


def ran(file: AgentFile, state: dict[str, object], call: Call) -> str:
    """As a tool runner does it, but for the bus."""
    context = ToolContext("rtc_00_test", call.id, 0.0, json.dumps(state))
    tool = file.tools[call.name]
    bound = tool.bind(call.arguments, context)

    async def awaited() -> Any:
        return await bound()  # type: ignore[misc]  # Tool.asynchronous

    value = run_virtual(awaited()) if tool.asynchronous else bound()
    for key, changed in json.loads(context.state_patch()).items():
        state[key] = changed
    assert isinstance(value, str)
    return value


def offers(agent: Agent) -> dict[str, tuple[str, dict[str, object]]]:
    return {tool.name: (tool.description, tool.parameters) for tool in agent.tools}


def test_the_guides_assistant_takes_the_call_and_its_colleague_stands_behind_a_handoff() -> None:
    file = load("voice_quickstart.py")

    assert file.default.name == "Assistant"
    assert [tool.name for tool in file.default.offered] == ["get_weather", "transfer_to_spanish"]
    assert [one.to for one in file.default.handoffs if not isinstance(one, Agent | str)] == ["Spanish"]
    assert file.default.model == "gpt-5.5"


def test_the_guides_assistant_offers_and_runs_what_the_sdks_runner_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.choice", lambda choices: choices[0])
    file = load("voice_quickstart.py")
    calls = [
        Call("call_1", "get_weather", '{"city": "Tokyo"}'),
        Call("call_2", "get_weather", '{"city":"Zürich \\ud83d\\ude00"}'),
        Call("call_3", "get_weather", '{"town": "Tokyo"}'),
        Call("call_4", "get_weather", '{"city": '),
    ]

    _, model = run_virtual(run(of_sdk(file, "agent"), "How is the weather?", [calls, [Say("Sunny.")]]))

    assert {call.id: ran(file, {}, call) for call in calls} == outputs(model)
    assert offers(file.default).items() <= model.asked[0].offers.items()
    assert file.default.instructions == model.asked[0].instructions


def test_every_agent_of_a_desk_is_found_whoever_hands_off_to_whom() -> None:
    file = load("support_desk.py", "triage")

    assert list(file.agents) == ["Refund desk", "Order desk", "Triage"]
    assert file.default.name == "Triage"
    assert [guardrail.on for agent in file.agents.values() for guardrail in agent.guardrails] == [
        ("output",),
        ("input",),
    ]
    assert [agent.approve for agent in file.agents.values()] == ["answer", "segment", "segment"]


def test_a_desks_tools_handoffs_and_context_equal_the_sdks_runner() -> None:
    file = load("support_desk.py", "triage")
    hand_over = Call("call_2", "to_refunds", "{}")
    calls = [
        Call("call_1", "order_status", '{"order": "4711", "verbose": true}'),
        Call("call_3", "verify", '{"pin": "4711"}'),
        Call("call_4", "refund", '{"amount": 12.5}'),
    ]
    customer = of_sdk(file, "Customer")(name="Ada")
    script = [[calls[0]], [hand_over], [calls[1]], [calls[2]], [Say("Done.")]]

    result, model = run_virtual(run(of_sdk(file, "triage"), "My money, please.", script, customer))
    state: dict[str, object] = {}
    made = {call.id: ran(file, state, call) for call in calls}

    told = {item["call_id"]: item["output"] for item in items(result) if item.get("type") == "function_call_output"}
    assert made == {key: output for key, output in told.items() if key != hand_over.id}
    assert state["context"] == customer.model_dump()
    assert result.last_agent.name == "Refund desk"
    assert file.default.handoff_by(hand_over.name).to == "Refund desk"  # type: ignore[union-attr]
    asked = {"Triage": model.asked[0], "Refund desk": model.asked[2]}
    for name, round_ in asked.items():
        agent = file.agents[name]
        assert [tool.name for tool in agent.offered] == list(round_.offers)
        assert {t.name: t.description for t in agent.offered} == {n: said for n, (said, _) in round_.offers.items()}
        assert offers(agent).items() <= round_.offers.items()


def items(result: Any) -> list[Any]:
    return [item.to_input_item() for item in result.new_items]
