"""The guide's chained pipeline runs against the stack with only the address and the key changed: `VoicePipeline`
transcribes, asks the model, runs its own tools, and speaks."""

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from stack import lines
from support import judge
from support.running_stack import RunningStack
from trunkline.audio.wav import read_file
from trunkline.proto.audio import SPEECH_RATE_HZ

PROGRAM = Path(__file__).parents[1] / "data/agents_sdk/voice_pipeline.py"
LIMIT_S = 120
SEED = 4712
SKIES = ("sunny", "cloudy", "rainy", "snowy")


def test_the_guides_program_with_three_seconds_of_silence_prints_audio(stack: RunningStack) -> None:
    said, _ = program(stack.file.url, stack.address.key)

    assert audio_samples(said) > 0
    assert "get_weather" not in said


def test_a_spoken_question_runs_the_programs_own_tool_and_its_result_is_spoken(
    stack: RunningStack, tmp_path: Path
) -> None:
    question, reply = tmp_path / "question.wav", tmp_path / "reply.wav"
    lines.write(question, "weather_tokyo.wav", SPEECH_RATE_HZ, 1)

    said, _ = program(stack.file.url, stack.address.key, str(question), "--kept", str(reply), "--seed", str(SEED))

    file = read_file(reply)
    told = [f"One moment, please. The weather in {city} is {sky}." for city in ("Tokyo", "Cairo") for sky in SKIES]
    assert "[debug] get_weather called with city: Tokyo" in said
    assert audio_samples(said) == len(file.samples) > SPEECH_RATE_HZ
    result = judge.likeliest(file.samples, file.rate_hz, told)
    heard = judge.hear(file.samples, file.rate_hz)
    assert result == f"One moment, please. The weather in Tokyo is {random.Random(SEED).choice(SKIES)}."
    assert judge.word_error_rate(result, heard) < 0.4, heard


def test_the_streamed_program_takes_turns_and_sends_the_phases_back(stack: RunningStack, tmp_path: Path) -> None:
    questions = [tmp_path / "first.wav", tmp_path / "second.wav"]
    lines.write(questions[0], "weather_tokyo.wav", SPEECH_RATE_HZ, 1)
    lines.write(questions[1], "What is the weather in Paris?", SPEECH_RATE_HZ, 1)

    with recording(stack.file.url) as (url, bodies):
        said, _ = program(url, stack.address.key, "--streamed", *map(str, questions))

    assert said.count("voice_stream_event_lifecycle turn_ended") == 2
    assert ["Tokyo" in said, "Paris" in said] == [True, True]
    assert audio_samples(said) > 2 * SPEECH_RATE_HZ
    second = [body["input"] for body in bodies if sum(item.get("role") == "user" for item in body["input"]) == 2]
    answered = [item for item in second[0] if item.get("role") == "assistant"]
    assert [item.get("phase") for item in answered][-1] == "final_answer"
    assert all(item.get("phase") in ("commentary", "final_answer") for item in answered)


def program(url: str, key: str, *arguments: str) -> tuple[str, str]:
    """What it printed; it must end well."""
    environ = {
        **os.environ,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": key,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, done.stderr


def audio_samples(said: str) -> int:
    rows = [line.split() for line in said.splitlines()]
    return sum(int(row[1]) for row in rows if row[0] == "voice_stream_event_audio")


@contextmanager
def recording(upstream: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A proxy that keeps the bodies of Responses requests; for sockets it sends the client on."""
    bodies: list[dict[str, Any]] = []
    ready = threading.Event()
    said: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        over = asyncio.Event()
        async with aiohttp.ClientSession(upstream, auto_decompress=False) as client:

            async def passed_on(request: web.Request) -> web.StreamResponse:
                body = await request.read()
                if request.path.endswith("/responses"):
                    bodies.append(msgspec.json.decode(body))
                return await _pass_on(client, request, body)

            app = web.Application(client_max_size=32 * 1024 * 1024)
            app.router.add_route("*", "/{path:.*}", passed_on)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            said.append((runner.addresses[0][1], asyncio.get_running_loop(), over))
            ready.set()
            await over.wait()
            await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10.0)
    port, loop, over = said[0]
    try:
        yield f"http://127.0.0.1:{port}", bodies
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10.0)


async def _pass_on(client: aiohttp.ClientSession, request: web.Request, body: bytes) -> web.StreamResponse:
    hop = ("host", "content-length", "connection", "upgrade", "transfer-encoding")
    headers = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in hop and not name.lower().startswith("sec-websocket")
    }
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _pass_frames(client, request, headers)
    async with client.request(request.method, request.path_qs, data=body, headers=headers) as got:
        answer = web.StreamResponse(
            status=got.status, headers={name: value for name, value in got.headers.items() if name.lower() not in hop}
        )
        await answer.prepare(request)
        async for piece in got.content.iter_any():
            await answer.write(piece)
        await answer.write_eof()
        return answer


async def _pass_frames(
    client: aiohttp.ClientSession, request: web.Request, headers: dict[str, str]
) -> web.StreamResponse:
    theirs = web.WebSocketResponse()
    await theirs.prepare(request)
    async with client.ws_connect(request.path_qs, headers=headers, max_msg_size=0) as ours:

        async def back() -> None:
            async for message in ours:
                await theirs.send_str(message.data)
            await theirs.close()

        returning = asyncio.create_task(back())
        async for message in theirs:
            await ours.send_str(message.data)
        await ours.close()
        await returning
    return theirs
