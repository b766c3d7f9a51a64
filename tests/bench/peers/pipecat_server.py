"""pipecat with null engines: `python pipecat_server.py PORT full|tuned|bare`, in the environment of pipecat.txt.

`full` is what its quickstart builds (service base classes, context aggregators, RTVI and turn tracking, as they come)
without metrics, VAD and turn models; `tuned` has nothing optional either, and its audio ends at STT; `bare` is its
transport and three processors. All calls are in this one process.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator

import uvicorn
import uvloop
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from plain import COMMIT, DONE, HEARD_TEXT, RATE_HZ, READY, REPLY_TEXT, tone

CHUNK_10MS = 10  # of output at a time; the default of 4 costs 2.5 times as many messages
TONE = tone()


class Committed(InputAudioRawFrame):
    """The caller's COMMIT. It is a kind of audio, because a frame of any other kind overtakes the audio before it."""


class Plain(FrameSerializer):
    async def serialize(self, frame: Frame) -> str | bytes | None:
        if isinstance(frame, OutputAudioRawFrame):
            return frame.audio
        if isinstance(frame, OutputTransportMessageFrame | OutputTransportMessageUrgentFrame):
            return frame.message if isinstance(frame.message, str) else None  # RTVI's are dicts
        return None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        if isinstance(data, bytes):
            return InputAudioRawFrame(audio=data, sample_rate=RATE_HZ, num_channels=1)
        return Committed(b"\0\0", RATE_HZ, 1) if data == COMMIT else None


class NullSTT(STTService):
    """Proposes turns as a service that detects them: their start at the first frame with sound, their end at COMMIT."""

    def __init__(self, *, audio_passthrough: bool) -> None:
        super().__init__(audio_passthrough=audio_passthrough, settings=STTSettings(model=None, language=None))
        self._in_turn = False

    @property
    def supports_ttfs(self) -> bool:
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        if not self._in_turn and audio.strip(b"\0"):
            self._in_turn = True
            await self.broadcast_frame(ProposedUserStartedSpeakingFrame)
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if not isinstance(frame, Committed):
            await super().process_frame(frame, direction)
            return
        self._in_turn = False
        await self.push_frame(TranscriptionFrame(HEARD_TEXT, "", str(time.time()), finalized=True))
        await self.push_frame(ProposedUserStoppedSpeakingFrame())


class NullLLM(LLMService):
    def __init__(self) -> None:
        super().__init__(
            settings=LLMSettings(
                model=None,
                system_instruction=None,
                temperature=None,
                max_tokens=None,
                top_p=None,
                top_k=None,
                frequency_penalty=None,
                presence_penalty=None,
                seed=None,
                filter_incomplete_user_turns=False,
                user_turn_completion_config=None,
            )
        )

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame(REPLY_TEXT))
        await self.push_frame(LLMFullResponseEndFrame())


class NullTTS(TTSService):
    def __init__(self) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, sample_rate=RATE_HZ, settings=settings)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        yield TTSAudioRawFrame(TONE, RATE_HZ, 1, context_id=context_id)
        yield OutputTransportMessageFrame(message=DONE)


class BareSTT(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, Committed):
            await self.push_frame(TranscriptionFrame(HEARD_TEXT, "", ""))
        elif not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)


class BareModel(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        said = isinstance(frame, TranscriptionFrame)
        await self.push_frame(TextFrame(REPLY_TEXT) if said else frame, direction)


class BareTTS(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TextFrame):
            await self.push_frame(TTSAudioRawFrame(TONE, RATE_HZ, 1))
            await self.push_frame(OutputTransportMessageFrame(message=DONE))
        else:
            await self.push_frame(frame, direction)


def full(transport: FastAPIWebsocketTransport) -> PipelineWorker:
    """Audio goes on to the user's aggregator, where its VAD would be."""
    return PipelineWorker(_conversation(transport, audio_passthrough=True), params=_params())


def tuned(transport: FastAPIWebsocketTransport) -> PipelineWorker:
    return _with_nothing_optional(_conversation(transport, audio_passthrough=False))


def bare(transport: FastAPIWebsocketTransport) -> PipelineWorker:
    stages = [BareSTT(), BareModel(), BareTTS(), transport.output()]
    return _with_nothing_optional(Pipeline([transport.input(), *stages]))


def _conversation(transport: FastAPIWebsocketTransport, *, audio_passthrough: bool) -> Pipeline:
    context = LLMContext([{"role": "system", "content": "You are a helpful agent of a call centre."}])
    turns = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
    pair = LLMContextAggregatorPair(context, user_params=turns)
    stt = NullSTT(audio_passthrough=audio_passthrough)
    stages = [stt, pair.user(), NullLLM(), NullTTS(), transport.output(), pair.assistant()]
    return Pipeline([transport.input(), *stages])


def _with_nothing_optional(pipeline: Pipeline) -> PipelineWorker:
    return PipelineWorker(
        pipeline,
        params=_params(),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
        check_dangling_tasks=False,
    )


def _params() -> PipelineParams:
    return PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)


def app(kind: str) -> FastAPI:
    build = {"full": full, "tuned": tuned, "bare": bare}[kind]
    served = FastAPI()

    @served.websocket("/")
    async def call(websocket: WebSocket) -> None:
        await websocket.accept()
        params = FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=CHUNK_10MS,
            audio_out_end_silence_secs=0,
            serializer=Plain(),
        )
        transport = FastAPIWebsocketTransport(websocket, params)
        worker = build(transport)

        @worker.event_handler("on_pipeline_started")
        async def ready(_: PipelineWorker, __: Frame) -> None:
            await worker.queue_frame(OutputTransportMessageUrgentFrame(message=READY))

        @transport.event_handler("on_client_disconnected")
        async def gone(_: FastAPIWebsocketTransport, __: WebSocket) -> None:
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()

    return served


def main() -> None:
    port, kind = sys.argv[1:]
    logger.remove()
    config = uvicorn.Config(
        app(kind),
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
    )
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
