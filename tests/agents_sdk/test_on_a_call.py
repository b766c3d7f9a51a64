"""Programs for the Agents SDK on calls: agent service and tool runner against the SDK's own runner, on one script."""

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

import pytest

from agents_sdk.referee import HANDOFFS, Call, Round, Run, Say, converse, load, of_sdk
from agents_sdk.scene import WAITING, Desk, OnScript, Ran, plain
from trunkline.agent.models.local import LocalModel
from trunkline.agent.models.seam import MessageItem, ModelRequest, ToolCallItem, ToolOutputItem
from trunkline.agents import AgentFile


async def on_a_call(
    file: AgentFile, turns: Sequence[str], rounds: Sequence[Round], *, approve: bool = True
) -> tuple[Ran, OnScript]:
    async with Desk(file, rounds, "approve" if approve else "deny") as desk:
        for words in turns:
            await desk.turn(words)
        return await desk.ran(), desk.script


def told(request: ModelRequest) -> list[tuple[str, str]]:
    """What the model is told of the conversation, but for what came of handing over."""
    names = {item.id: item.name for item in request.items if isinstance(item, ToolCallItem)}
    made = []
    for item in request.items:
        match item:
            case MessageItem(role=role, text=text) if text != WAITING:
                made.append((str(role), text))
            case ToolCallItem(name=name, arguments=arguments):
                made.append((name, arguments))
            case ToolOutputItem(id=key, output=output):
                handed_off = names[key].startswith(HANDOFFS)
                made.append(("output", "" if handed_off else plain(output)))
    return made


def both(
    name: str, start: str, turns: Sequence[str], rounds: Sequence[Round], *, approve: bool = True
) -> tuple[Ran, Run, Any]:
    """On a call, and on the SDK's runner, with its context; what their models were told is compared here."""
    file = load(name, start)
    context = copy.deepcopy(of_sdk(file, "context"))
    theirs = asyncio.run(converse(of_sdk(file, start), turns, rounds, context, approve))
    ours, script = asyncio.run(on_a_call(file, turns, rounds, approve=approve))

    assert [[tool.name for tool in request.tools] for request in script.requests] == theirs.offers
    assert [request.instructions for request in script.requests] == theirs.instructions
    assert [told(request) for request in script.requests] == theirs.told
    return ours, theirs, context


def of_tools(run: Ran | Run) -> dict[str, str]:
    """What came of them, but for those that hand over."""
    handoffs = {call.id for call in run.calls if call.name.startswith(HANDOFFS)}
    return {key: output for key, output in run.outputs.items() if key not in handoffs}


def test_the_guides_assistant_looks_up_the_weather_and_hands_over_to_its_spanish_colleague(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.choice", lambda choices: choices[0])
    rounds = [
        [Call("call_1", "get_weather", '{"city": "Tokyo"}'), Call("call_2", "get_weather", '{"city":"Oslo"}')],
        [Say("Sunny in both.")],
        [Call("call_3", "transfer_to_spanish", "{}")],
        [Say("Hola.")],
    ]

    ours, theirs, _ = both("voice_quickstart.py", "agent", ["How is the weather?", "Buenos dias."], rounds)

    assert ours.calls == theirs.calls
    assert of_tools(ours) == of_tools(theirs)
    assert ours.to == theirs.to == ["Spanish"]
    assert ours.said == theirs.said


def test_the_guides_assistant_works_without_any_model_of_a_vendor() -> None:
    async def scenario() -> Ran:
        desk = Desk(load("voice_quickstart.py"), [])
        desk.script.respond = LocalModel().respond  # type: ignore[method-assign]
        async with desk:
            await desk.turn("What is the weather in Tokyo?")
            return await desk.ran()

    ran = asyncio.run(scenario())

    assert [(call.name, call.arguments) for call in ran.calls] == [("get_weather", '{"city":"Tokyo"}')]
    assert ran.said[-1].startswith("The weather in Tokyo is ")


def test_a_desk_verifies_hands_over_and_pays_back_as_in_the_sdks_runner() -> None:
    rounds = [
        [Call("call_1", "order_status", '{"order": "12", "verbose": true}')],
        [Call("call_2", "to_refunds", "{}")],
        [Call("call_3", "verify", '{"pin":"4711"}')],
        [Call("call_4", "refund", '{"amount": 12.5}')],
        [Say("It is on its way.")],
        [Call("call_5", "transfer_to_triage", "{}")],
        [Say("Anything else?")],
    ]

    ours, theirs, context = both("support_desk.py", "triage", ["My money, please.", "Thank you."], rounds)

    assert ours.calls == theirs.calls
    assert of_tools(ours) == of_tools(theirs)
    assert ours.to == theirs.to == ["Refund desk", "Triage"]
    assert ours.said == theirs.said
    assert ours.state == {"context": context.model_dump()}
    assert context.refunded == [12.5]


@pytest.mark.parametrize("approve", [True, False])
def test_a_person_decides_over_a_large_refund_as_in_the_sdks_runner(approve: bool) -> None:
    rounds = [
        [Call("call_1", "to_refunds", "{}")],
        [Call("call_2", "refund", '{"amount": 50}')],
        [Say("We shall see.")],
    ]

    ours, theirs, context = both("support_desk.py", "triage", ["My money, please."], rounds, approve=approve)

    assert ours.calls == theirs.calls
    assert of_tools(ours) == of_tools(theirs)
    assert ours.state.get("context", {}).get("refunded", []) == context.refunded == ([50] if approve else [])


def test_what_a_guardrail_stops_is_told_nobody() -> None:
    file = load("support_desk.py", "triage")
    rounds = [
        [Call("call_1", "to_refunds", "{}")],
        [Say("I guarantee that.")],
    ]

    ours, script = asyncio.run(on_a_call(file, ["Who wins the election?", "My money!"], rounds))

    assert [(point, action) for point, action, _ in ours.verdicts] == [("input", "block"), ("answer", "block")]
    assert [reason for _, _, reason in ours.verdicts] == ["no_politics: {'words': 4}", "no_promises: a promise"]
    assert ours.said == ["I am sorry, I can't help with that."] * 2
    assert len(script.requests) == 2


def test_a_handoff_does_what_its_author_wrote_and_tools_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.choice", lambda choices: choices[0])
    rounds = [
        [Call("call_1", "transfer_to_seat_booking", "{}")],
        [Call("call_2", "take_seat", '{"seat": "12A"}')],
        [Call("call_3", "transfer_to_front_desk", "{}")],
        [Say("You have it.")],
        [Call("call_4", "transfer_to_people", '{"reason": "a complaint", "urgent": true}')],
        [Say("Hello.")],
    ]

    ours, theirs, context = both("airline.py", "front", ["A seat, please.", "A person!"], rounds)

    assert ours.calls == theirs.calls
    assert of_tools(ours) == of_tools(theirs)
    assert ours.to == theirs.to == ["Seat booking", "Front desk", "People"]
    assert ours.said == theirs.said
    assert theirs.offers[0] == ["transfer_to_seat_booking", "transfer_to_people"]
    assert ours.state == {"context": {"flight": "FLT-117", "seat": "12A", "reasons": 1}} == {"context": vars(context)}


@pytest.mark.parametrize("arguments", ['{"reason": "none", "urgent": false}', '{"because": "I say so"}'])
def test_a_handoff_that_fails_is_not_made_and_the_model_is_told(arguments: str) -> None:
    rounds = [[Call("call_1", "transfer_to_people", arguments)], [Say("Sorry.")]]

    ours, script = asyncio.run(on_a_call(load("airline.py", "front"), ["A person!"], rounds))

    assert (ours.to, ours.said, ours.state) == ([], ["Sorry."], {})
    assert "transfer_to_people failed" in ours.outputs["call_1"]
    assert script.requests[1].agent == "Front desk"


def test_of_two_handoffs_at_once_one_is_made() -> None:
    both_at_once = [
        Call("call_1", "transfer_to_seat_booking", "{}"),
        Call("call_2", "transfer_to_people", '{"reason": "x"}'),
    ]
    rounds = [both_at_once, [Say("Here I am.")]]

    ours, _ = asyncio.run(on_a_call(load("airline.py", "front"), ["A person!"], rounds))

    assert len(ours.to) == 1
    assert sum("only once at a time" in output for output in ours.outputs.values()) == 1
