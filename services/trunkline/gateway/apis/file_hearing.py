"""A sound file read out to STT, as fast as that listens, and what it says was said.

Rule: no more of the file is decoded than STT has room for, and what one utterance failed of fails all: half a
transcript is none.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable

from trunkline.audio.pcm import Samples
from trunkline.gateway.apis.transcript import Said
from trunkline.gateway.call_events import CallEvent, Transcribed, TranscriptionFailed
from trunkline.gateway.requests import Requests
from trunkline.gateway.transcribing import Transcribing, require_language
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import TrunklineError
from trunkline.proto.speech import TurnRules


class NotTranscribed(TrunklineError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"the recogniser failed: {reason}")


class FileHearing:
    """read: the file's next samples at CALLER_RATE_HZ, empty at its end. languages: (param, language) as asked for."""

    def __init__(
        self,
        requests: Requests,
        rules: TurnRules,
        languages: list[tuple[str, str]],
        read: Callable[[], Awaitable[Samples]],
    ) -> None:
        self._languages = languages
        self._read = read
        self._known: list[Said] = []
        self._failure: NotTranscribed | None = None
        language = languages[0][1] if languages else "en"
        self._heard = Transcribing(
            requests, "transcription", self._on_event, rules=rules, language=language, patient=True
        )

    @property
    def language(self) -> str:
        """Of the words: the one that was asked for, else the recogniser's."""
        known = [language for _, language in self._languages] or [*self._heard.languages, "en"]
        return known[0]

    async def said(self) -> AsyncGenerator[Said, None]:
        """In order, each as soon as it is known. Raises StageUnavailable, BadInput, NotTranscribed."""
        async with self._heard:
            for param, language in self._languages:
                require_language(param, language, self._heard.languages)
            end = 0
            while len(samples := await self._read()):
                end += len(samples)
                await self._hear(samples)
                for one in self._take(end):
                    yield one
                self._require_whole()
            await self._heard.finish()
            for one in self._take(end):
                yield one
            self._require_whole()

    async def _hear(self, samples: Samples) -> None:
        while len(samples) and self._failure is None:
            room = await self._heard.room()
            self._heard.hear(samples[:room])
            samples = samples[room:]

    def _take(self, end: int) -> list[Said]:
        """end: of the file so far."""
        known, self._known = self._known, []
        limit_s = end / CALLER_RATE_HZ
        return [Said(one.text, min(one.start_s, limit_s), min(one.end_s, limit_s)) for one in known]

    def _require_whole(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _on_event(self, event: CallEvent) -> None:
        match event:
            case Transcribed(text=text) if text and self._failure is None:
                begin_s, end_s = event.from_sample / CALLER_RATE_HZ, event.to_sample / CALLER_RATE_HZ
                self._known.append(Said(" ".join(text.split()), begin_s, end_s))
            case TranscriptionFailed(reason=reason):
                self._failure = NotTranscribed(reason)
