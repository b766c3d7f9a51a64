"""livekit-agents with null engines: `python livekit_server.py PORT`, in the environment of livekit.txt.

No WebRTC: its AgentSession reads from and writes to a WebSocket, all sessions in this one process and loop. Turns end
by the caller's COMMIT (`turn_detection` manual); there is no VAD, no recording and no job process.
"""

import asyncio
import logging
import sys
import time
from typing import Any

import uvloop
from aiohttp import WSMsgType, web
from livekit import rtc
from livekit.agents import Agent, AgentSession, llm, stt, tts
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions
from livekit.agents.voice import io
from plain import COMMIT, DONE, HEARD_TEXT, RATE_HZ, READY, REPLY_TEXT, SAMPLE_BYTES, tone

LEAD_S = 0.2  # audio that may be under way ahead of its time: what its room's audio source holds
TONE = tone()


class Heard(io.AudioInput):
    """A caller's audio, read from the socket by the session itself: no task and no queue between."""

    def __init__(self, socket: web.WebSocketResponse, session: AgentSession[None]) -> None:
        super().__init__(label="plain")
        self._socket = socket
        self._session = session
        self.ended = asyncio.Event()

    async def __anext__(self) -> rtc.AudioFrame:
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                return rtc.AudioFrame(message.data, RATE_HZ, 1, len(message.data) // SAMPLE_BYTES)
            if message.type is not WSMsgType.TEXT:
                self.ended.set()
                raise StopAsyncIteration
            if message.data == COMMIT:
                self._session.commit_user_turn(transcript_timeout=2.0)


class Said(io.AudioOutput):
    """Sends a reply in real time, LEAD_S ahead at most, by holding the session's own forwarding task."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        super().__init__(label="plain", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE_HZ)
        self._socket = socket
        self._began_s = 0.0
        self._sent_s = 0.0
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._sent_s:
            self._began_s = time.monotonic()
            self.on_playback_started(created_at=time.time())
        await self._socket.send_bytes(bytes(frame.data))
        self._sent_s += frame.duration
        ahead_s = self._sent_s - (time.monotonic() - self._began_s)
        if ahead_s > LEAD_S:
            await asyncio.sleep(ahead_s - LEAD_S)

    def flush(self) -> None:
        super().flush()
        if self._sent_s:
            left_s = max(0.0, self._sent_s - (time.monotonic() - self._began_s))
            self._end = asyncio.get_running_loop().call_later(left_s, self._finished)

    def clear_buffer(self) -> None:
        if not self._sent_s:
            return
        if self._end is not None:
            self._end.cancel()
        played_s, self._sent_s = min(self._sent_s, time.monotonic() - self._began_s), 0.0
        self.on_playback_finished(playback_position=played_s, interrupted=True)

    def _finished(self) -> None:
        played_s, self._sent_s, self._end = self._sent_s, 0.0, None
        self.on_playback_finished(playback_position=played_s, interrupted=False)
        self._task = asyncio.ensure_future(self._socket.send_str(DONE))


class NullSTT(stt.STT[Any]):
    def __init__(self) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True, interim_results=False, offline_recognize=False, manual_flush=True
            )
        )

    async def _recognize_impl(self, buffer: Any, *, language: Any = NOT_GIVEN, conn_options: APIConnectOptions) -> Any:
        raise NotImplementedError("only streams")

    def stream(
        self, *, language: Any = NOT_GIVEN, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> stt.RecognizeStream:
        return NullRecognition(stt=self, conn_options=conn_options, sample_rate=RATE_HZ)


class NullRecognition(stt.RecognizeStream):
    async def _run(self) -> None:
        async for item in self._input_ch:
            if isinstance(item, self._FlushSentinel):
                line = stt.SpeechData(language=LanguageCode("en"), text=HEARD_TEXT)
                final = stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[line])
                self._event_ch.send_nowait(final)


class NullLLM(llm.LLM[Any]):
    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: Any = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        return NullAnswer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class NullAnswer(llm.LLMStream):
    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content=REPLY_TEXT)
        self._event_ch.send_nowait(llm.ChatChunk(id="null", delta=delta))


class NullTTS(tts.TTS[Any]):
    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=True), sample_rate=RATE_HZ, num_channels=1)

    def synthesize(self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> Any:
        raise NotImplementedError("only streams")

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> tts.SynthesizeStream:
        return NullSpeech(tts=self, conn_options=conn_options)


class NullSpeech(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="null", sample_rate=RATE_HZ, num_channels=1, mime_type="audio/pcm", stream=True
        )
        text = ""
        async for item in self._input_ch:
            if isinstance(item, str):
                text += item
            elif text:
                self._mark_started()
                output_emitter.start_segment(segment_id="null")
                output_emitter.push(TONE)
                output_emitter.end_segment()
                text = ""


async def call(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False, max_msg_size=0)
    await socket.prepare(request)
    session: AgentSession[None] = AgentSession(
        stt=NullSTT(),
        llm=NullLLM(),
        tts=NullTTS(),
        vad=None,
        turn_handling={
            "turn_detection": "manual",
            "endpointing": {"min_delay": 0.0, "max_delay": 0.0},
            "preemptive_generation": {"enabled": False},
        },
        tts_text_transforms=None,
        user_away_timeout=None,
        aec_warmup_duration=None,
    )
    heard = Heard(socket, session)
    session.input.audio = heard
    session.output.audio = Said(socket)
    await session.start(Agent(instructions="You are a helpful agent of a call centre."), record=False)
    await socket.send_str(READY)
    await heard.ended.wait()
    await session.aclose()
    return socket


async def serve(port: int) -> None:
    served = web.Application()
    served.router.add_get("/", call)
    runner = web.AppRunner(served, access_log=None, handle_signals=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    uvloop.run(serve(int(sys.argv[1])))
