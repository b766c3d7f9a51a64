"""POST /v1/audio/transcriptions: a sound file written down.

Rule: until the first event what goes wrong has a status; after it an event tells, and there is no done.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from functools import partial
from typing import TypeVar

import msgspec
from aiohttp import web

from trunkline.audio.decoding import ALLOWED, SoundFile
from trunkline.gateway import metrics
from trunkline.gateway.apis import transcript
from trunkline.gateway.apis.file_hearing import FileHearing, NotTranscribed
from trunkline.gateway.apis.form import Forms
from trunkline.gateway.apis.presence import while_present
from trunkline.gateway.apis.streaming import StreamedAnswer, encoded
from trunkline.gateway.apis.transcript import Said
from trunkline.gateway.apis.transcription_form import TranscriptionAsked, read
from trunkline.gateway.auth import Keys, answer, refuse
from trunkline.gateway.http import guarded
from trunkline.gateway.requests import Requests
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.runtime.patience import patient_threads
from trunkline.telemetry import logs

PATH = "/v1/audio/transcriptions"
FILE_BYTES = 25 * 1024 * 1024  # as the vendor has it
TOTAL_BYTES = 256 * 1024 * 1024
LIMIT_S = 2 * 3_600.0
DECODING_THREADS = 2  # for all requests: a second of sound costs a few milliseconds

T = TypeVar("T")
log = logs.get(__name__)


class TextDelta(msgspec.Struct, frozen=True, tag="transcript.text.delta"):
    delta: str


class Usage(msgspec.Struct, frozen=True, tag="tokens"):
    """Nobody counts tokens here."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class TextDone(msgspec.Struct, frozen=True, tag="transcript.text.done"):
    text: str
    usage: Usage = Usage()


class TranscriptionsEndpoint:
    """models: names that mean the recogniser."""

    def __init__(self, keys: Keys, requests: Requests, models: Collection[str]) -> None:
        self._keys = keys
        self._requests = requests
        self._models = models
        self._forms = Forms(FILE_BYTES, TOTAL_BYTES)
        self._threads = patient_threads(DECODING_THREADS, "decoding")

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(PATH, guarded(self._keys, self._create, counted=True))
        app.on_cleanup.append(self._close)

    async def _close(self, app: web.Application) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self._requests.require_place("stt")
        async with self._forms.read(request) as form:
            if form.file is None:
                raise BadInput("file", "is missing", ALLOWED, code="missing_required_parameter")
            asked = read(form.fields, self._models)
            return await while_present(request, self._answer(request, asked, form.file))

    async def _answer(self, request: web.Request, asked: TranscriptionAsked, file: bytearray) -> web.StreamResponse:
        sound = await self._on_thread(partial(SoundFile, file, CALLER_RATE_HZ, "file", LIMIT_S))
        del file
        hearing = FileHearing(self._requests, asked.rules, asked.wanted_languages, lambda: self._on_thread(sound.read))
        try:
            async with aclosing(hearing.said()) as said:
                if asked.stream:
                    return await streamed(request, said)
                whole = [one async for one in said]
        except NotTranscribed as error:
            return refuse(500, "transcription_failed", str(error))
        finally:
            metrics.transcribed_s.inc(sound.seconds)
            sound.close()  # what has heard it refers to itself, and goes when Python collects such
        return formed(asked, whole, sound.seconds, hearing.language)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def formed(asked: TranscriptionAsked, said: list[Said], seconds: float, language: str) -> web.Response:
    match asked.response_format:
        case "verbose_json":
            return answer(transcript.verbose(said, seconds, language))
        case "text":
            return web.Response(text=transcript.plain(said))
        case "srt":
            return web.Response(text=transcript.srt(said))
        case "vtt":
            return web.Response(text=transcript.vtt(said), content_type="text/vtt")
    return answer(transcript.brief(said, seconds))


async def streamed(request: web.Request, said: AsyncIterator[Said]) -> web.StreamResponse:
    """Raises ClientGone, and what goes wrong before the first event."""
    out = StreamedAnswer(request)
    text = ""
    try:
        async for one in said:
            delta = f" {one.text}" if text else one.text
            text += delta
            await out.write(encoded(TextDelta(delta)))
        await out.write(encoded(TextDone(text)))
    except (BadInput, NotTranscribed, StageUnavailable) as error:
        if not out.begun:
            raise
        log.warning("transcript cut", path=PATH, reason=str(error))
        kind = "invalid_request_error" if isinstance(error, BadInput) else "server_error"
        code = error.code if isinstance(error, BadInput) else "transcription_failed"
        await out.write(encoded({"error": {"message": str(error), "type": kind, "param": None, "code": code}}))
    return await out.end()
