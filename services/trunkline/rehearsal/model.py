"""A test's model at the agent's seam; and what any model was asked, kept for the test."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict

from trunkline.agent.models.history import said_of
from trunkline.agent.models.seam import Model, ModelEvent, ModelRequest, RoundDone, TextDelta, ToolCall
from trunkline.agents.testing.model import Answer, Asked, Calls, Fails, FakeModel, Says, ScriptOver, Waits
from trunkline.proto.ids import new_tool_call_id

ALLOWED = "steps of trunkline.agents.testing: says(…), calls(…), waits(…), fails(…), or a list of them"


class FailedOnPurpose(Exception):
    """What a `fails` step raises."""


class Fake:
    """answer: a function of the test."""

    name = "fake"
    repeatable = False

    def __init__(self, answer: FakeModel) -> None:
        self._answer = answer

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        made = self._answer(asked_of(request))
        answer: Answer = await made if inspect.isawaitable(made) else made
        for step in [answer] if isinstance(answer, Says | Calls | Waits | Fails) else answer:
            match step:
                case Says(text, phase):
                    yield TextDelta(text, phase)
                case Calls(tool, arguments):
                    yield ToolCall(new_tool_call_id(), tool, arguments)
                case Waits(seconds):
                    await asyncio.sleep(seconds)
                case Fails(reason):
                    raise FailedOnPurpose(reason)
                case other:
                    raise TypeError(f"the model of the test gave {other!r}; allowed: {ALLOWED}")
        yield RoundDone()

    async def close(self) -> None:
        """Nothing to close."""


class Watched:
    """own: the model is closed with the call. failure: of the test's own making, so the test is told."""

    def __init__(self, model: Model, *, own: bool) -> None:
        self.name = model.name
        self.repeatable = model.repeatable
        self.asked: list[Asked] = []
        self.failure: Exception | None = None
        self._model = model
        self._own = own

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(asked_of(request))
        try:
            async for event in self._model.respond(request):
                yield event
        except (ScriptOver, TypeError) as error:
            self.failure = self.failure or error
            raise

    async def close(self) -> None:
        if self._own:
            await self._model.close()


def asked_of(request: ModelRequest) -> Asked:
    settings: Mapping[str, object] = asdict(request.settings)
    return Asked(
        request.instructions,
        tuple(said_of(request.items)),
        tuple(tool.name for tool in request.tools),
        request.agent,
        bool(request.news),
        settings,
    )
