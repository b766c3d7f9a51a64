"""The session as the package `openai` sets it: merged, echoed whole, and refused by name where it can't be had."""

import asyncio
from typing import Any

import pytest

from clients_py.scene import Desk, line
from clients_py.test_openai_client import OPEN
from support.virtual import run_over_sockets

pytestmark = pytest.mark.clients

SERVER_VAD: Any = {
    "type": "server_vad",
    "threshold": 0.4,
    "prefix_padding_ms": 200,
    "silence_duration_ms": 600,
    "create_response": True,
    "interrupt_response": False,
    "idle_timeout_ms": 6_000,
}
EVERYTHING: Any = {
    "model": "gpt-realtime",
    "output_modalities": ["text"],
    "instructions": "Speak of the sea.",
    "tools": [OPEN],
    "tool_choice": {"type": "function", "name": "open_page"},
    "parallel_tool_calls": False,
    "reasoning": {"effort": "low"},
    "max_output_tokens": 77,
    "tracing": {"workflow_name": "sea", "group_id": "g", "metadata": {"a": "b"}},
    "truncation": "auto",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24_000},
            "transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"},
            "noise_reduction": None,
            "turn_detection": SERVER_VAD,
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "ash", "speed": 1.2},
    },
}
REFUSED: dict[str, tuple[Any, str]] = {  # what -> (the session, the parameter that is wrong)
    "a modality that there isn't": ({"output_modalities": ["smell"]}, "session.output_modalities"),
    "both modalities": ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
    "a rate": ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16_000}}}}, "session.audio.output.format"),
    "a speed": ({"audio": {"output": {"speed": 4}}}, "session.audio.output.speed"),
    "a way to tell turns": (
        {"audio": {"input": {"turn_detection": {"type": "telepathy"}}}},
        "session.audio.input.turn_detection.type",
    ),
    "a threshold": (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
        "session.audio.input.turn_detection.threshold",
    ),
    "an eagerness": (
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "very"}}}},
        "session.audio.input.turn_detection.eagerness",
    ),
    "a limit": ({"max_output_tokens": -1}, "session.max_output_tokens"),
    "a choice of no tool": ({"tool_choice": {"type": "function", "name": "nobody"}}, "session.tool_choice.name"),
    "a tool server": (
        {"tools": [{"type": "mcp", "server_label": "a", "server_url": "https://mcp.example"}]},
        "session.tools[0].type",
    ),
    "a way to forget": (
        {"truncation": {"type": "retention_ratio", "retention_ratio": 0.5}},
        "session.truncation",
    ),
    "a prompt of the vendor's": ({"prompt": {"id": "pmpt_1"}}, "session.prompt"),
    "what nobody knows": ({"colour": "red"}, "session.colour"),
}


def test_a_session_is_echoed_whole_with_all_that_it_was_given() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            session = await mine.update(**EVERYTHING)
            told = session.to_dict()

            assert told["audio"] == EVERYTHING["audio"]
            assert {name: told.get(name) for name in EVERYTHING} == EVERYTHING

    run_over_sockets(main())


def test_what_an_update_does_not_name_stays() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            before = (await mine.update(**EVERYTHING)).to_dict()
            after = (await mine.update(audio={"output": {"speed": 1.0}}, tracing="auto")).to_dict()

            assert after["audio"]["output"] == before["audio"]["output"] | {"speed": 1.0}
            assert after["audio"]["input"] == before["audio"]["input"]
            assert after["tracing"] == "auto"
            unchanged = {name for name in before if name not in ("audio", "tracing")}
            assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}

    run_over_sockets(main())


def test_the_defaults_of_turn_detection_are_told() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            created = mine.seen[0].session.audio.input.turn_detection
            semantic = await mine.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
            eager = await mine.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}})
            server = await mine.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})

            assert (created.type, created.threshold, created.prefix_padding_ms) == ("server_vad", 0.5, 300)
            assert (created.silence_duration_ms, created.create_response, created.interrupt_response) == (
                500,
                True,
                True,
            )
            told = semantic.audio.input.turn_detection
            assert (told.type, told.eagerness, told.interrupt_response) == ("semantic_vad", "auto", True)
            assert eager.audio.input.turn_detection.eagerness == "low"
            assert server.audio.input.turn_detection == created

    run_over_sockets(main())


def test_instructions_tools_and_limits_of_a_session_reach_the_model() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(
                instructions="Speak of the sea.",
                output_modalities=["text"],
                tools=[OPEN],
                tool_choice="required",
                parallel_tool_calls=False,
                reasoning={"effort": "low"},
                max_output_tokens=77,
            )
            await mine.asks("Hello")
            asked = desk.asked.requests[-1]

            assert "Speak of the sea." in asked.instructions
            assert {tool.name for tool in asked.tools} == {"look_up", "open_page"}
            settings = asked.settings
            assert (settings.tool_choice, settings.parallel_tool_calls) == ("required", False)
            assert (settings.max_output_tokens, settings.reasoning_effort) == (77, "low")

    run_over_sockets(main())


def test_semantic_turn_detection_hears_a_turn() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
            speaking = asyncio.create_task(mine.speaks(silence_s=4.0))
            response = await mine.done()
            await speaking

            assert response.output[0].content[0].transcript == "You said How are you?."

    run_over_sockets(main())


def test_a_turn_makes_no_response_where_the_client_asks_for_its_own() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            vad: Any = {"type": "server_vad", "create_response": False}
            await mine.update(audio={"input": {"turn_detection": vad}})
            await mine.speaks()
            await mine.until("conversation.item.input_audio_transcription.completed")
            await asyncio.sleep(3.0)
            await mine.call.response.create()
            response = await mine.done()

            assert response.output[0].content[0].transcript == "You said How are you?."
            assert mine.kinds.count("response.created") == 1

    run_over_sockets(main())


def test_a_caller_who_stays_silent_is_noticed_after_the_timeout() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(audio={"input": {"turn_detection": SERVER_VAD | {"idle_timeout_ms": 5_000}}})
            await mine.asks("Hello")
            streaming = asyncio.create_task(mine.sends(bytes(2 * 24_000 * 10), 960))
            noticed = await mine.until("input_audio_buffer.timeout_triggered")
            response = await mine.done()
            streaming.cancel()
            await asyncio.gather(streaming, return_exceptions=True)

            assert noticed.audio_end_ms > noticed.audio_start_ms
            assert noticed.item_id
            assert response.status == "completed"

    run_over_sockets(main())


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_session_cannot_have_is_refused_by_name_and_nothing_changes(what: str) -> None:
    session, param = REFUSED[what]

    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            before = mine.seen[0].session
            await mine.call.session.update(session={"type": "realtime", **session}, event_id="evt_mine")
            error = await mine.error()
            after = await mine.update()

            assert (error.type, error.event_id) == ("invalid_request_error", "evt_mine")
            assert error.param.startswith(param)
            assert error.code
            assert after == before

    run_over_sockets(main())
