"""One request of the HTTP APIs at the agent: the model asked directly, and what it says told as it comes.

Rule: nothing is recorded and no tool of ours runs. What ends the session, its release first of all, ends the model's
round too.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine

from prometheus_client import Counter

from trunkline.agent.generation_failures import failure_of
from trunkline.agent.models.seam import MessageEnded, Model, ModelEvent, RoundDone, TextDelta, ToolCall
from trunkline.agent.prompts import request_of
from trunkline.agent.round import MODEL_IDLE_S, chat_span
from trunkline.bus.exchange import Link
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadInput
from trunkline.proto.generation import (
    PROMPT_LIMIT_BYTES,
    Generate,
    Generated,
    GeneratedCall,
    GeneratedMessageEnded,
    GeneratedText,
    GenerationFailed,
    PromptPart,
    decode_prompt,
)
from trunkline.proto.placement import Accepted
from trunkline.telemetry import logs, tracing

TEXT_CHARACTERS = 32 * 1024  # of one message on the bus
ANSWER_CHARACTERS = 2 * 1024 * 1024  # of one generation; a model that says more than that will never end

log = logs.get(__name__)
_generations = Counter("trunkline_agent_generations_total", "Generations of the request APIs", ["outcome"])


class Generating:
    """keep: holds a task until it is done."""

    def __init__(
        self,
        link: Link,
        order: Generate,
        headers: Headers | None,
        model: Model,
        keep: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
    ) -> None:
        self._link = link
        self._order = order
        self._parent = tracing.extract(headers) or tracing.call_context(link.call)
        self._model = model
        self._keep = keep
        self._prompt = bytearray()
        self._parts_left = order.parts
        self._names_model = False
        self._over = False  # the last word has gone out
        self._task: asyncio.Task[None] | None = None
        link.send(Accepted())
        if not (0 < order.size <= PROMPT_LIMIT_BYTES and 0 < order.parts <= order.size):
            self._refuse(f"{order.size} bytes in {order.parts} parts", f"up to {PROMPT_LIMIT_BYTES} bytes")

    def on_message(self, message: Message, headers: Headers | None) -> None:
        if not isinstance(message, PromptPart):
            log.warning("message is not for a generation", call_id=self._link.call, type=type(message).__name__)
        elif not self._over and self._task is None:
            self._gather(message.data)

    def close(self, reason: str) -> None:
        self._over = True
        if self._task is not None and not self._task.done():
            _generations.labels("released").inc()
            self._task.cancel()

    def _gather(self, data: bytes) -> None:
        self._prompt += data
        self._parts_left -= 1
        size = len(self._prompt)
        if size > self._order.size or (self._parts_left == 0 and size < self._order.size):
            self._refuse(f"{size} bytes came", f"the {self._order.size} that were told")
        elif self._parts_left == 0:
            self._task = self._keep(self._generate(bytes(self._prompt)))
            self._prompt.clear()

    def _refuse(self, problem: str, allowed: str) -> None:
        self._prompt.clear()
        self._fail(BadInput("input", problem, allowed))

    def _fail(self, error: Exception) -> None:
        failure = failure_of(error, model_named=self._names_model)
        log.warning("generation failed", call_id=self._link.call, code=failure.code, error=str(error))
        self._end(failure, "refused" if failure.bad_request else "failed")

    def _end(self, last: Generated | GenerationFailed, outcome: str) -> None:
        self._over = True
        _generations.labels(outcome).inc()
        self._link.send(last)

    async def _generate(self, prompt: bytes) -> None:
        with logs.bound(call_id=self._link.call):
            try:
                done = await self._run(prompt)
                self._end(_generated(done), "incomplete" if done.incomplete else "generated")
            except Exception as error:  # a rim: a model is a plugin, and what it raises ends one request
                self._fail(error)

    async def _run(self, prompt: bytes) -> RoundDone:
        request = request_of(decode_prompt(prompt), self._link.call)
        self._names_model = bool(request.model)
        span = chat_span(request, self._model.name, self._parent)
        done, said = RoundDone(), 0
        try:
            async with contextlib.aclosing(self._model.respond(request)) as stream:
                while (event := await _next(stream)) is not None:
                    if isinstance(event, RoundDone):
                        done = event
                    elif (said := said + _length(event)) > ANSWER_CHARACTERS:
                        raise ValueError(f"the model said more than {ANSWER_CHARACTERS} characters")
                    else:
                        self._tell(event)
        finally:
            span.set_attribute("gen_ai.response.model", done.model or self._model.name)
            span.set_attribute("gen_ai.usage.input_tokens", done.input_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", done.output_tokens)
            span.end()
        return done

    def _tell(self, event: TextDelta | MessageEnded | ToolCall) -> None:
        match event:
            case TextDelta(text, phase):
                for begin in range(0, max(len(text), 1), TEXT_CHARACTERS):  # one without words tells a phase
                    self._link.send(GeneratedText(text[begin : begin + TEXT_CHARACTERS], phase))
            case MessageEnded():
                self._link.send(GeneratedMessageEnded())
            case ToolCall(key, name, arguments):
                self._link.send(GeneratedCall(key, name, arguments))


async def _next(stream: AsyncGenerator[ModelEvent, None]) -> ModelEvent | None:
    async with asyncio.timeout(MODEL_IDLE_S):
        return await anext(stream, None)


def _length(event: ModelEvent) -> int:
    match event:
        case TextDelta(text=text):
            return len(text)
        case ToolCall(arguments=arguments):
            return len(arguments)
    return 0


def _generated(done: RoundDone) -> Generated:
    return Generated(
        input_tokens=done.input_tokens,
        output_tokens=done.output_tokens,
        cached_tokens=done.cached_tokens,
        reasoning_tokens=done.reasoning_tokens,
        incomplete=done.incomplete,
        model=done.model,
    )
