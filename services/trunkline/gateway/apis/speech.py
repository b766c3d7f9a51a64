"""POST /v1/audio/speech: a text read aloud, sent as it is spoken.

Rule: until the first byte what goes wrong has a status; after it the connection breaks, so that nobody takes half a
speech for a whole one.
"""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from trunkline.audio.encoding import Format, open_encoder
from trunkline.gateway import metrics
from trunkline.gateway.apis.bodies import Bodies
from trunkline.gateway.apis.presence import while_present
from trunkline.gateway.apis.streaming import EVENTS, StreamedAnswer, encoded
from trunkline.gateway.auth import Keys, refuse
from trunkline.gateway.dialects.realtime.offer import Offer
from trunkline.gateway.dialects.realtime.session_audio import CustomVoice
from trunkline.gateway.http import guarded
from trunkline.gateway.model_names import SPEECH_MODELS, require_model, with_aliases
from trunkline.gateway.reciting import NotSpoken, Recital
from trunkline.gateway.requests import Requests
from trunkline.gateway.validation import read_json
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.runtime.patience import patient_threads
from trunkline.telemetry import logs

PATH = "/v1/audio/speech"
INPUT_CHARACTERS = 4096  # as the vendor has it
BODY_LIMIT_BYTES = 160 * 1024
BODIES_LIMIT_BYTES = 64 * BODY_LIMIT_BYTES
SLOWEST, FASTEST = 0.25, 4.0
ENCODING_THREADS = 2  # for all requests: a second of sound costs 5 to 20 ms
CONTENT_TYPES: Mapping[Format, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

log = logs.get(__name__)


class SpeechAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As the client spells it. instructions: read and not followed, since no engine here can."""

    model: str
    input: Annotated[str, msgspec.Meta(min_length=1, max_length=INPUT_CHARACTERS)]
    voice: str | CustomVoice
    instructions: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: Annotated[float, msgspec.Meta(ge=SLOWEST, le=FASTEST)] | None = None
    stream_format: Literal["audio", "sse"] | None = None

    @property
    def form(self) -> Format:
        """Raises BadInput."""
        if self.response_format == "aac":
            allowed = ", ".join(CONTENT_TYPES)
            raise BadInput("response_format", "aac is not supported", allowed, code="not_supported")
        return self.response_format or "mp3"

    @property
    def voice_name(self) -> str:
        return self.voice if isinstance(self.voice, str) else self.voice.id


class SpeechAudioDelta(msgspec.Struct, frozen=True, tag="speech.audio.delta"):
    """audio: base64 of the next bytes of the file."""

    audio: str


class Usage(msgspec.Struct, frozen=True):
    """Nobody counts tokens here."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class SpeechAudioDone(msgspec.Struct, frozen=True, tag="speech.audio.done"):
    usage: Usage = Usage()


_asked = msgspec.json.Decoder(SpeechAsked)


class SpeechEndpoint:
    """aliases: what clients' names of models and voices mean. now_s: monotonic."""

    def __init__(self, keys: Keys, requests: Requests, aliases: Mapping[str, str], now_s: Callable[[], float]) -> None:
        self._keys = keys
        self._requests = requests
        self._aliases = aliases
        self._models = with_aliases(SPEECH_MODELS, aliases)
        self._now_s = now_s
        self._threads = patient_threads(ENCODING_THREADS, "encoding")
        self._bodies = Bodies(BODY_LIMIT_BYTES, BODIES_LIMIT_BYTES)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(PATH, guarded(self._keys, self._create, counted=True))
        app.on_startup.append(self._warm)
        app.on_cleanup.append(self._close)

    async def _warm(self, app: web.Application) -> None:
        """The library of codecs is loaded here, and not while calls wait."""
        await asyncio.get_running_loop().run_in_executor(self._threads, open_encoder, "opus", SPEECH_RATE_HZ)

    async def _close(self, app: web.Application) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self._requests.require_place("tts")
        came_s = self._now_s()
        async with self._bodies.read(request) as body:
            asked = read(body)
        require_model(asked.model, self._models)
        out = Speech(request, asked, self._threads, lambda: metrics.first_speech_s.observe(self._now_s() - came_s))
        return await while_present(request, self._answer(out, asked))

    async def _answer(self, out: "Speech", asked: SpeechAsked) -> web.StreamResponse:
        try:
            async with self._recite(asked) as take:
                while pcm := await take():
                    await out.say(pcm)
            return await out.end()
        except (StageUnavailable, NotSpoken) as error:
            if out.begun:
                return out.cut(str(error))
            if isinstance(error, NotSpoken):
                return refuse(500, "speech_failed", str(error))
            raise

    @contextlib.asynccontextmanager
    async def _recite(self, asked: SpeechAsked) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """Gives what gives the next samples. Raises BadInput, StageUnavailable."""
        recital = Recital(self._requests.audibility)
        async with self._requests.open("tts", "speech", recital.of) as placed:
            offer = Offer(aliases=self._aliases, voices=recital.voices)
            offer.require_voice(asked.voice_name, "voice")
            recital.begin(asked.input, offer.voice_of(asked.voice_name), asked.speed or 1.0)
            yield lambda: placed.wait(recital.take())


class Speech:
    """The answer, sent as it is made; its status goes out with its first byte. on_begun: that is now."""

    def __init__(
        self, request: web.Request, asked: SpeechAsked, threads: ThreadPoolExecutor, on_begun: Callable[[], None]
    ) -> None:
        form = asked.form
        self._events = asked.stream_format == "sse"
        self._out = StreamedAnswer(request, EVENTS if self._events else {"Content-Type": CONTENT_TYPES[form]})
        self._encoder = open_encoder(form, SPEECH_RATE_HZ)
        self._threads = threads
        self._on_begun = on_begun

    @property
    def begun(self) -> bool:
        return self._out.begun

    async def say(self, pcm: bytes) -> None:
        """Raises ClientGone."""
        await self._send(await self._encode(partial(self._encoder.feed, pcm)))

    async def end(self) -> web.StreamResponse:
        """Raises ClientGone."""
        await self._send(await self._encode(self._encoder.finish))
        if self._events:
            await self._write(encoded(SpeechAudioDone()))
        return await self._out.end()

    def cut(self, reason: str) -> web.StreamResponse:
        log.warning("speech cut", path=PATH, reason=reason)
        return self._out.cut()

    async def _encode(self, work: Callable[[], bytes]) -> bytes:
        if self._encoder.inline:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _send(self, data: bytes) -> None:
        if data:
            await self._write(encoded(SpeechAudioDelta(b64encode(data).decode())) if self._events else data)

    async def _write(self, data: bytes) -> None:
        if not self.begun:
            await self._out.begin()
            self._on_begun()
        await self._out.write(data)


def read(body: bytes) -> SpeechAsked:
    """Raises BadInput."""
    return read_json(body, _asked, choices={"response_format": ", ".join(CONTENT_TYPES)})
