"""The guide's program and what people add to it, in Node over WebSocket: stock packages against a real stack.

What a client does is in scenarios.mjs, what is right of it in expected.py.
"""

import pytest

from js import clients, expected
from js.clients import Facts
from support.pictures import data_url, picture
from support.running_stack import RunningStack
from support.vendor_host import VendorHost

pytestmark = [
    pytest.mark.node,
    pytest.mark.stack,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(clients.missing()), reason=clients.missing()),
]
LOUD = 1_000  # of 32,767
SECOND_BYTES = 2 * 24_000
TEXT_LIMIT_S = 30.0


def converse(
    stack: RunningStack, clips: dict[str, str], scenario: str, vendor: VendorHost | None = None, **more: object
) -> Facts:
    """vendor: where the client calls the address that it has by itself. more: for the scenario."""
    connect = {"apiKey": stack.address.key} | ({} if vendor else {"url": stack.address.realtime})
    order = {"scenario": scenario, "connect": connect, "clips": clips, **more}
    facts: Facts = clients.node("run.mjs", order, clients.SCENARIO_LIMIT_S, **calls(vendor))
    return facts


def calls(vendor: VendorHost | None) -> dict[str, str]:
    """What a program's environment has for the vendor's name to be answered here."""
    if vendor is None:
        return {}
    return {"VENDOR_PORT": str(vendor.port), "NODE_EXTRA_CA_CERTS": str(vendor.authority)}


def test_the_guides_program_hears_and_is_heard_and_the_agents_own_tool_runs(
    stack: RunningStack, clips: dict[str, str]
) -> None:
    facts = converse(stack, clips, "guide")

    expected.question_answered(facts)
    assert facts["audioBytes"] > 2 * SECOND_BYTES
    assert facts["loudest"] > LOUD


def test_a_tool_of_the_clients_runs_at_the_client(stack: RunningStack, clips: dict[str, str]) -> None:
    facts = converse(stack, clips, "clientTool")

    expected.tool_run(facts)


def test_speaking_truncates_the_reply_and_the_history_shows_it(stack: RunningStack, clips: dict[str, str]) -> None:
    facts = converse(stack, clips, "bargeIn")

    expected.interrupted(facts)
    assert "audio_interrupted" in facts["told"]
    assert "conversation.item.truncate" in facts["sent"]


def test_a_handoff_makes_the_other_agents_tools_the_callers(stack: RunningStack, clips: dict[str, str]) -> None:
    facts = converse(stack, clips, "handoff")

    expected.handed_over(facts)


def test_an_output_guardrail_stops_what_is_said(stack: RunningStack, clips: dict[str, str]) -> None:
    facts = converse(stack, clips, "guardrail")

    expected.guarded(facts)
    assert "conversation.item.truncate" in facts["sent"]


def test_history_is_edited_where_the_client_says(stack: RunningStack, clips: dict[str, str]) -> None:
    facts = converse(stack, clips, "history")

    expected.history_edited(facts)


def test_a_picture_is_shown_and_the_model_answers_of_it(stack: RunningStack, clips: dict[str, str]) -> None:
    """The SDK's own parser knows no picture in an item, so it hands these events on and its history lacks the message:
    with its vendor as here."""
    facts = converse(stack, clips, "picture", url=data_url(picture("PNG", 64, 48)))

    (part,) = facts["shown"]["item"]["content"]
    assert (part["type"], part["detail"], part["file_id"][:5]) == ("input_image", "auto", "file_")
    assert facts["response"]["status"] == "completed"
    assert "picture of 64 by 48 pixels" in clients.spoken(facts)
    assert facts["errors"] == []


def test_the_guides_program_works_at_the_vendors_own_address(
    stack: RunningStack, clips: dict[str, str], vendor: VendorHost
) -> None:
    facts = converse(stack, clips, "guide", vendor)

    expected.question_answered(facts)
    assert facts["loudest"] > LOUD


@pytest.mark.parametrize("client", ["OpenAIRealtimeWS", "OpenAIRealtimeWebSocket"])
def test_the_openai_package_has_a_turn_in_text(client: str, stack: RunningStack, vendor: VendorHost) -> None:
    order = {"client": client, "apiKey": stack.address.key, "ask": "Where is my order four seven one two?"}

    facts: Facts = clients.node("text_turn.mjs", order, TEXT_LIMIT_S, **calls(vendor))

    assert facts["errors"] == []
    assert "4 7 1 2 was shipped" in facts["answer"]
    assert facts["response"]["status"] == "completed"
    assert facts["response"]["output_modalities"] == ["text"]


def test_nothing_of_these_programs_leaves_this_machine(stack: RunningStack, clips: dict[str, str]) -> None:
    order = {"scenario": "guide", "connect": {"apiKey": stack.address.key}, "clips": clips}

    with pytest.raises(AssertionError, match=r"api\.openai\.com is not on this machine"):
        clients.node("run.mjs", order, TEXT_LIMIT_S)
