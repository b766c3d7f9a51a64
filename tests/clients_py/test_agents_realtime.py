"""`agents.realtime` of the package `openai-agents`, unchanged, against all services."""

import asyncio
from typing import Any

import pytest
from agents import Agent, GuardrailFunctionOutput, OutputGuardrail, RunContextWrapper, function_tool
from agents.realtime import RealtimeAgent, realtime_handoff

from clients_py.scene import Desk
from clients_py.sdk import Entry, Sdk, sdk  # first: it turns the SDK's tracing off
from clients_py.test_openai_client import BOTH, OPENS, SEGMENT_MS
from support.virtual import run_over_sockets
from system.whole import hum
from trunkline.agent.models.scripted import Call, Script, Words
from trunkline.cli.stack import Address
from trunkline.proto.audio import SPEECH_RATE_HZ

pytestmark = pytest.mark.clients

LONG_MS = 3_000
STEP_S = 0.02
STEP_BYTES = 2 * int(STEP_S * SPEECH_RATE_HZ)
BRIEF = RealtimeAgent("brief", instructions="Speak of the sea.")
TO_BILLING: Script = [[[Call("transfer_to_billing")], [Words("Billing here.", "final_answer")]]]
FORBIDDEN = (
    "I must not say this, and yet I do, at length and in full knowledge that somebody listens: the secret is out."
)
TRIPS: Script = [
    [[Words(FORBIDDEN, "final_answer"), Words(" There is more of it.", "final_answer")]],
    [[Words("Let us speak of something else.", "final_answer")]],
]


@function_tool
async def open_page(page: str) -> str:
    """Opens a page.

    Args:
        page: its name
    """
    return f"{page} is open"


async def sends(mine: Sdk, audio: bytes, silence_s: float = 1.2) -> None:
    """As a microphone does; silence follows."""
    audio += bytes(2 * int(silence_s * SPEECH_RATE_HZ))
    for at in range(0, len(audio), STEP_BYTES):
        await mine.session.send_audio(audio[at : at + STEP_BYTES])
        await asyncio.sleep(STEP_S)


async def speaks(mine: Sdk, seconds: float = 0.6, silence_s: float = 1.2) -> None:
    await sends(mine, hum(seconds).samples.tobytes(), silence_s)


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_a_text_turn(modality: str) -> None:
    async def main() -> None:
        async with Desk() as desk, sdk(desk.addresses[0], BRIEF, output_modalities=[modality]) as mine:
            await mine.session.send_message("Hello")
            response = await mine.done()

            assert response["status"] == "completed"
            assert mine.history == [Entry("user", "Hello"), Entry("assistant", "You said Hello.")]
            assert "Speak of the sea." in desk.asked.requests[-1].instructions
            assert bool(mine.sound) == (modality == "audio")

    run_over_sockets(main())


def test_a_spoken_turn() -> None:
    async def main() -> None:
        async with Desk() as desk, sdk(desk.addresses[0], BRIEF) as mine:
            speaking = asyncio.create_task(speaks(mine, silence_s=4.0))
            response = await mine.done()
            await speaking
            await mine.settle()

            assert response["status"] == "completed"
            assert mine.history == [Entry("user", "How are you?"), Entry("assistant", "You said How are you?.")]
            (sound,) = mine.sound.values()
            assert len(sound) == 2 * SPEECH_RATE_HZ * SEGMENT_MS // 1000

    run_over_sockets(main())


def test_messages_that_are_sent_while_it_speaks_are_answered_one_after_the_other() -> None:
    async def main() -> None:
        async with Desk() as desk, sdk(desk.addresses[0], BRIEF) as mine:
            for text in ("One", "Two", "Three"):
                await mine.session.send_message(text)
            await mine.when(lambda: mine.history[-1:] == [Entry("assistant", "You said Three.")])
            await mine.settle()

            assert [entry for entry in mine.history if entry.who == "user"] == [
                Entry("user", text) for text in ("One", "Two", "Three")
            ]
            assert len(mine.all("agent_start")) == len(mine.all("agent_end")) > 0

    run_over_sockets(main())


def test_a_tool_runs_at_the_client() -> None:
    async def main() -> None:
        agent = RealtimeAgent("pages", tools=[open_page])
        async with Desk(OPENS) as desk:
            async with sdk(desk.addresses[0], agent) as mine:
                await mine.session.send_message("seven")
                await mine.done(2)
                await mine.settle()
            view = await desk.the_record()

            assert [(ran.tool.name, ran.output) for ran in mine.all("tool_end")] == [("open_page", "seven is open")]
            assert mine.history == [
                Entry("user", "seven"),
                Entry("assistant", "One moment. "),
                Entry("open_page", '{"page":"seven"}', "seven is open"),
                Entry("assistant", "It is open."),
            ]
            assert [(tool.runs, tool.status) for tool in view.tools.values()] == [("client", "ok")]

    run_over_sockets(main())


def test_a_tool_of_the_agent_file_runs_beside_one_of_the_client_s() -> None:
    async def main() -> None:
        agent = RealtimeAgent("pages", tools=[open_page])
        async with Desk(BOTH) as desk:
            async with sdk(desk.addresses[0], agent) as mine:
                await mine.session.send_message("seven")
                await mine.done(2)
                await mine.settle()
            view = await desk.the_record()

            assert mine.history == [
                Entry("user", "seven"),
                Entry("open_page", '{"page":"seven"}', "seven is open"),
                Entry("assistant", "It is open."),
            ]
            assert {tool.name: tool.runs for tool in view.tools.values()} == {
                "look_up": "runner",
                "open_page": "client",
            }

    run_over_sockets(main())


def test_a_tool_that_asks_for_approval_waits_for_it() -> None:
    async def main() -> None:
        guarded = function_tool(lambda page: f"{page} is open", name_override="open_page", needs_approval=True)
        async with Desk(OPENS) as desk, sdk(desk.addresses[0], RealtimeAgent("pages", tools=[guarded])) as mine:
            await mine.session.send_message("seven")
            await mine.when(lambda: mine.all("tool_approval_required"))
            await mine.settle(5.0)
            waiting = mine.history[-1]
            await mine.session.approve_tool_call(mine.all("tool_approval_required")[0].call_id)
            await mine.done(2)

            assert waiting == Entry("open_page", '{"page":"seven"}', None)
            assert [ran.output for ran in mine.all("tool_end")] == ["seven is open"]
            assert mine.history[-1] == Entry("assistant", "It is open.")

    run_over_sockets(main())


def test_a_handoff_goes_to_the_other_agent_of_the_client_s() -> None:
    async def main() -> None:
        billing = RealtimeAgent("billing", instructions="You know every bill.", tools=[open_page])
        front = RealtimeAgent("front", instructions="Speak of the sea.", handoffs=[realtime_handoff(billing)])
        async with Desk(TO_BILLING) as desk, sdk(desk.addresses[0], front) as mine:
            await mine.session.send_message("My bill is wrong")
            await mine.done(2)
            await mine.settle()
            (handed,) = mine.all("handoff")
            first, last = desk.asked.requests[0], desk.asked.requests[-1]

            assert (handed.from_agent.name, handed.to_agent.name) == ("front", "billing")
            assert mine.history[-1] == Entry("assistant", "Billing here.")
            assert "Speak of the sea." in first.instructions
            assert "You know every bill." in last.instructions
            assert "Speak of the sea." not in last.instructions
            assert {tool.name for tool in first.tools} == {"look_up", "transfer_to_billing"}
            assert {tool.name for tool in last.tools} == {"look_up", "open_page"}

    run_over_sockets(main())


@pytest.mark.parametrize("where", ["session", "address"])
def test_the_agent_at_the_server_is_chosen_by_model(where: str) -> None:
    """An SDK that is given none names the vendor's, which means the agent that the call has."""

    async def main() -> None:
        named: Any = {"model_name": "night"} if where == "session" else {}
        query = "?model=night" if where == "address" else ""
        async with Desk() as desk, sdk(desk.addresses[0], RealtimeAgent("plain"), query=query, **named) as mine:
            await mine.session.send_message("Hello")
            await mine.done()

            assert desk.asked.requests[-1].agent == "night"
            assert "Whisper." in desk.asked.requests[-1].instructions

    run_over_sockets(main())


def test_an_ephemeral_key_opens_the_call() -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            secret = await client.realtime.client_secrets.create()
            async with sdk(Address(desk.addresses[0].base, secret.value), BRIEF) as mine:
                await mine.session.send_message("Hello")
                response = await mine.done()

                assert response["status"] == "completed"

    run_over_sockets(main())


def test_a_barge_in_cuts_the_answer_to_what_was_heard() -> None:
    async def main() -> None:
        async with Desk(segment_ms=LONG_MS) as desk:
            async with sdk(desk.addresses[0], BRIEF) as mine:
                await mine.session.send_message("How long is the road to the sea")
                await mine.when(lambda: mine.sound)
                await asyncio.sleep(1.5)
                speaking = asyncio.create_task(speaks(mine, 1.5, silence_s=4.0))
                await mine.done(2)
                await speaking
                await mine.settle()
                (item, _) = mine.sound
            view = await desk.the_record()

            said = "You said How long is the road to the sea."
            heard = mine.history[1].text
            assert {cut["item_id"] for cut in mine.told("conversation.item.truncated")} == {item}
            assert [event.item_id for event in mine.all("audio_interrupted")] == [item]
            assert 0 < len(heard) < len(said)
            assert said.startswith(heard)
            assert view.items[item].heard_text == heard
            assert mine.history == [
                Entry("user", "How long is the road to the sea"),
                Entry("assistant", heard),
                Entry("user", "How are you?"),
                Entry("assistant", "You said How are you?."),
            ]
            assert [text for _, text in desk.asked.told] == [entry.text for entry in mine.history[:3]]

    run_over_sockets(main())


def test_an_interruption_by_the_program_cuts_the_answer() -> None:
    async def main() -> None:
        async with Desk(segment_ms=LONG_MS) as desk, sdk(desk.addresses[0], BRIEF, turn_detection=None) as mine:
            await mine.session.send_message("How long is the road to the sea")
            await mine.when(lambda: mine.sound)
            await asyncio.sleep(1.5)
            await mine.session.interrupt()
            response = await mine.done()
            await mine.settle()
            heard = mine.history[1].text

            assert response["status"] == "cancelled"
            assert 0 < len(heard) < len("You said How long is the road to the sea.")
            assert len(mine.all("audio_interrupted")) == 1

    run_over_sockets(main())


def test_a_guardrail_of_the_client_s_that_trips_ends_the_answer_and_another_is_asked_for() -> None:
    async def check(context: RunContextWrapper[Any], agent: Agent[Any], output: str) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info={}, tripwire_triggered="secret" in output)

    async def main() -> None:
        guarded = RealtimeAgent("guarded", output_guardrails=[OutputGuardrail(check, "no_secrets")])
        async with Desk(TRIPS, segment_ms=LONG_MS) as desk, sdk(desk.addresses[0], guarded) as mine:
            await mine.session.send_message("Tell me")
            cancelled = await mine.done()
            following = await mine.done(2)
            await mine.settle()

            assert ["secret" in tripped.message for tripped in mine.all("guardrail_tripped")] == [True]
            assert cancelled["status"] == "cancelled"
            assert following["status"] == "completed"
            assert [(entry.who, entry.text) for entry in mine.history if entry.who == "user"] == [
                ("user", "Tell me"),
                ("user", "guardrail triggered: no_secrets"),
            ]
            assert mine.history[-1] == Entry("assistant", "Let us speak of something else.")
            assert "more of it" not in str(desk.asked.told)

    run_over_sockets(main())
