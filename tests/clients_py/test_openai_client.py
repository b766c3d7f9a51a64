"""`client.realtime.connect` of the package `openai`, unchanged, against all services: turns, tools and responses."""

import asyncio
import re
from typing import Any

import msgspec
import pytest

from clients_py.scene import STEP_S, Desk, line, sound, transcript
from support.virtual import run_over_sockets
from system.whole import hum
from trunkline.agent.models.scripted import Call, Script, Words
from trunkline.audio import g711, resample
from trunkline.proto.audio import SPEECH_RATE_HZ

pytestmark = pytest.mark.clients

SEGMENT_MS = 300
LONG_MS = 3_000
PAGE = {"type": "object", "properties": {"page": {"type": "string"}}, "required": ["page"]}
OPEN: Any = {"type": "function", "name": "open_page", "description": "Opens a page.", "parameters": PAGE}
OPENS: Script = [
    [
        [Words("One moment. ", "commentary"), Call("open_page", {"page": msgspec.Raw(b'"{words}"')})],
        [Words("It is open.", "final_answer")],
    ]
]
BOTH: Script = [
    [
        [Call("look_up", {"word": msgspec.Raw(b'"{words}"')})],
        [Call("open_page", {"page": msgspec.Raw(b'"{words}"')})],
        [Words("It is open.", "final_answer")],
    ]
]


def test_a_text_turn_is_answered_in_text() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(output_modalities=["text"])
            response = await mine.asks("Hello")

            (item,) = response.output
            assert (item.role, item.status, item.phase) == ("assistant", "completed", "final_answer")
            assert [(part.type, part.text) for part in item.content] == [("output_text", "You said Hello.")]
            assert (response.status, response.output_modalities) == ("completed", ["text"])
            assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
            assert mine.kinds[mine.kinds.index("response.created") :] == [
                "response.created",
                "response.output_item.added",
                "conversation.item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "conversation.item.done",
                "response.output_item.done",
                "response.done",
            ]

    run_over_sockets(main())


def test_a_spoken_turn_is_answered_in_speech() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            speaking = asyncio.create_task(mine.speaks())
            response = await mine.done()
            await speaking

            (item,) = response.output
            assert item.content[0].transcript == transcript(mine.seen) == "You said How are you?."
            assert len(sound(mine.seen, item.id)) == 2 * SPEECH_RATE_HZ * SEGMENT_MS // 1000
            heard = [event for event in mine.kinds if event.startswith(("input_audio", "conversation"))]
            assert [name for name in heard if not name.endswith("transcription.delta")][:6] == [
                "input_audio_buffer.speech_started",
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "conversation.item.input_audio_transcription.completed",
            ]

    run_over_sockets(main())


def test_who_pushes_to_talk_is_answered_when_it_asks() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(audio={"input": {"turn_detection": None}})
            await mine.speaks()
            await asyncio.sleep(3.0)
            await mine.call.input_audio_buffer.commit(event_id="evt_commit")
            committed = await mine.until("input_audio_buffer.committed")
            told = await mine.until("conversation.item.input_audio_transcription.completed")
            await mine.call.response.create()
            response = await mine.done()

            assert told.item_id == committed.item_id
            assert told.transcript == "How are you?"
            assert response.output[0].content[0].transcript == "You said How are you?."
            assert "input_audio_buffer.speech_started" not in mine.kinds
            assert mine.kinds.count("response.created") == 1

    run_over_sockets(main())


def test_an_empty_commit_and_a_clear_are_answered() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(audio={"input": {"turn_detection": None}})
            await mine.call.input_audio_buffer.commit(event_id="evt_commit")
            error = await mine.error()
            await mine.call.input_audio_buffer.clear()
            await mine.until("input_audio_buffer.cleared")

            assert (error.event_id, error.code) == ("evt_commit", "input_audio_buffer_commit_empty")

    run_over_sockets(main())


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_a_telephone_s_formats_go_both_ways(law: str) -> None:
    async def main() -> None:
        telephone = {"format": {"type": f"audio/{law}"}}
        async with Desk() as desk, line(desk) as mine:
            session = await mine.update(audio={"input": telephone, "output": telephone})
            narrow = resample.resample(hum().samples, SPEECH_RATE_HZ, 8_000)
            encode, quiet = (g711.encode_mulaw, b"\xff") if law == "pcmu" else (g711.encode_alaw, b"\xd5")
            speaking = asyncio.create_task(mine.sends(encode(narrow) + 9_600 * quiet, int(8_000 * STEP_S)))
            response = await mine.done()
            await speaking

            assert session.audio.input.format.type == session.audio.output.format.type == f"audio/{law}"
            assert response.output[0].content[0].transcript == "You said How are you?."
            assert abs(len(sound(mine.seen)) - 8_000 * SEGMENT_MS // 1000) < 200

    run_over_sockets(main())


def test_a_tool_is_asked_for_and_answered_by_hand() -> None:
    async def main() -> None:
        async with Desk(OPENS) as desk:
            async with line(desk) as mine:
                await mine.update(tools=[OPEN])
                first = await mine.asks("seven")
                _, call = first.output
                output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": '{"open": true}'}
                await mine.call.conversation.item.create(item=output)
                given = await mine.until("conversation.item.done")
                await mine.call.response.create()
                second = await mine.done()
            view = await desk.the_record()

            assert (call.type, call.name, call.arguments, call.status) == (
                "function_call",
                "open_page",
                '{"page":"seven"}',
                "completed",
            )
            assert [item.phase for item in first.output if item.type == "message"] == ["commentary"]
            assert given.item.output == '{"open": true}'
            assert second.output[0].content[0].transcript == "It is open."
            assert desk.asked.told[-1] == ("ToolOutputItem", '{"open": true}')
            assert [(tool.runs, tool.status) for tool in view.tools.values()] == [("client", "ok")]

    run_over_sockets(main())


def test_a_tool_of_the_agent_s_runs_there_beside_one_of_the_client_s() -> None:
    async def main() -> None:
        async with Desk(BOTH) as desk:
            async with line(desk) as mine:
                await mine.update(tools=[OPEN])
                first = await mine.asks("seven")
                calls = [item for item in first.output if item.type == "function_call"]
                output: Any = {"type": "function_call_output", "call_id": calls[0].call_id, "output": "open"}
                await mine.call.conversation.item.create(item=output)
                await mine.call.response.create()
                second = await mine.done()
            view = await desk.the_record()

            assert [call.name for call in calls] == ["open_page"]
            assert second.output[0].content[0].transcript == "It is open."
            assert [(tool.name, tool.status) for tool in view.tools.values()] == [
                ("look_up", "ok"),
                ("open_page", "ok"),
            ]

    run_over_sockets(main())


def test_a_response_that_runs_is_not_asked_for_again() -> None:
    async def main() -> None:
        async with Desk(segment_ms=LONG_MS) as desk, line(desk) as mine:
            await mine.types("Hello")
            await mine.call.response.create(event_id="evt_first")
            await mine.call.response.create(event_id="evt_second")
            error = await mine.error()
            response = await mine.done()
            await mine.call.response.create(event_id="evt_third")
            again = await mine.done()

            assert (error.event_id, error.code) == ("evt_second", "conversation_already_has_active_response")
            assert error.type == "invalid_request_error"
            assert (response.status, again.status) == ("completed", "completed")
            assert response.id != again.id

    run_over_sockets(main())


@pytest.mark.parametrize("named", [True, False])
def test_a_response_is_cancelled_and_the_next_is_free(named: bool) -> None:
    async def main() -> None:
        async with Desk(segment_ms=LONG_MS) as desk, line(desk) as mine:
            await mine.types("Hello")
            await mine.call.response.create()
            opened = (await mine.until("response.created")).response
            await mine.until("response.output_audio.delta")
            await asyncio.sleep(0.5)
            if named:
                await mine.call.response.cancel(response_id=opened.id)
            else:
                await mine.call.response.cancel()
            cancelled = await mine.done()
            await mine.call.response.create()
            following = (await mine.until("response.created")).response

            assert (cancelled.id, cancelled.status) == (opened.id, "cancelled")
            assert (cancelled.status_details.type, cancelled.status_details.reason) == ("cancelled", "client_cancelled")
            assert [item.status for item in cancelled.output] == ["incomplete"]
            assert following.id != opened.id

    run_over_sockets(main())


def test_a_cancel_of_nothing_is_refused() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.call.response.cancel(event_id="evt_cancel")
            error = await mine.error()

            assert (error.event_id, error.code) == ("evt_cancel", "response_cancel_not_active")

    run_over_sockets(main())


def test_the_options_of_a_response_are_its_own() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.types("Hello")
            await mine.call.response.create(
                response={
                    "instructions": "Speak of the sea.",
                    "output_modalities": ["text"],
                    "max_output_tokens": 77,
                    "metadata": {"topic": "sea"},
                    "tools": [OPEN],
                    "tool_choice": "required",
                }
            )
            response = await mine.done()
            own = desk.asked.requests[-1]
            await mine.call.response.create()
            following = await mine.done()
            later = desk.asked.requests[-1]

            assert response.output[0].content[0].type == "output_text"
            assert (response.output_modalities, response.metadata) == (["text"], {"topic": "sea"})
            assert response.max_output_tokens == 77
            assert "Speak of the sea." in own.instructions
            assert [tool.name for tool in own.tools] == ["look_up", "open_page"]
            assert (own.settings.max_output_tokens, own.settings.tool_choice) == (77, "required")
            assert following.output[0].content[0].type == "output_audio"
            assert "Speak of the sea." not in later.instructions
            assert [tool.name for tool in later.tools] == ["look_up"]

    run_over_sockets(main())


def test_a_response_out_of_band_leaves_the_conversation_as_it_was() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(output_modalities=["text"])
            await mine.asks("Hello")
            await mine.call.response.create(
                response={
                    "conversation": "none",
                    "metadata": {"topic": "classification"},
                    "output_modalities": ["text"],
                    "input": [
                        {
                            "type": "message",
                            "role": "user",
                            "content": [{"type": "input_text", "text": "Is it friendly?"}],
                        }
                    ],
                }
            )
            aside = await mine.done()
            asked = desk.asked.told
            added = [event for event in mine.seen if event.type == "conversation.item.added"]
            await mine.asks("Goodbye")

            assert aside.metadata == {"topic": "classification"}
            assert aside.conversation_id is None
            assert aside.output[0].content[0].text == "You said Is it friendly?."
            assert asked == [("user", "Is it friendly?")]
            assert aside.output[0].id not in [event.item.id for event in added]
            assert desk.asked.told == [
                ("user", "Hello"),
                ("assistant", "You said Hello."),
                ("user", "Goodbye"),
            ]

    run_over_sockets(main())


def test_a_response_out_of_band_can_refer_to_items_and_can_do_without_any() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(output_modalities=["text"])
            first = await mine.types("Hello")
            await mine.types("Goodbye")
            reference: Any = {"type": "item_reference", "id": first}
            await mine.call.response.create(response={"conversation": "none", "input": [reference]})
            await mine.done()
            referred = desk.asked.told
            await mine.call.response.create(response={"conversation": "none", "input": []})
            await mine.done()
            without = desk.asked.told
            await mine.call.response.create(
                event_id="evt_astray", response={"conversation": "none", "input": [reference | {"id": "item_astray"}]}
            )
            error = await mine.error()

            assert referred == [("user", "Hello")]
            assert without == []
            assert error.event_id == "evt_astray"
            assert re.search("item_astray", error.message)

    run_over_sockets(main())


def test_responses_out_of_band_wait_for_the_one_that_runs() -> None:
    async def main() -> None:
        async with Desk(segment_ms=LONG_MS) as desk, line(desk) as mine:
            await mine.types("Hello")
            await mine.call.response.create()
            for topic in ("one", "two"):
                await mine.call.response.create(
                    response={"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": topic}}
                )
            responses = [await mine.done() for _ in range(3)]

            assert [response.status for response in responses] == ["completed"] * 3
            assert [(response.metadata or {}).get("topic") for response in responses] == [None, "one", "two"]

    run_over_sockets(main())


def test_what_a_response_cannot_be_asked_for_is_refused_by_name() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.types("Hello")
            refused: list[tuple[str, dict[str, Any]]] = [
                ("response.output_modalities", {"output_modalities": ["text", "audio"]}),
                ("response.max_output_tokens", {"max_output_tokens": 0}),
                ("response.tool_choice", {"tool_choice": {"type": "function", "name": "nobody"}}),
                ("response.prompt", {"prompt": {"id": "pmpt_1"}}),
                ("response.metadata", {"metadata": {"x" * 65: "long"}}),
            ]
            answers = []
            for number, (_, options) in enumerate(refused):
                await mine.call.response.create(event_id=f"evt_{number}", response=options)  # type: ignore[arg-type]  # on purpose
                error = await mine.error()
                answers.append((error.event_id, error.param.split("[")[0].removesuffix(".name")))

            assert answers == [(f"evt_{number}", param) for number, (param, _) in enumerate(refused)]
            assert "response.created" not in mine.kinds

    run_over_sockets(main())
