"""A model that says what its script says, for tests and for load: deterministic, and the same after a failover.

Where it stands in the script is read from the request alone (turns so far, tool calls in this turn); it keeps no state.
"{words}" in what it says and in a tool's arguments stands for the caller's last words.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import msgspec

from trunkline.agent.models.limit import limited
from trunkline.agent.models.seam import (
    MessageItem,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
)
from trunkline.proto.errors import BadSettings
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.response import Phase

REPLY_WORDS = 20
SETTING = "TRUNKLINE_MODEL_SCRIPT"
ALLOWED = "a JSON list of turns, of rounds, of steps"
CALLERS_WORDS = "{words}"


class Words(msgspec.Struct, frozen=True, tag="say", tag_field="type", forbid_unknown_fields=True):
    text: str
    phase: Phase | None = None


class Call(msgspec.Struct, frozen=True, tag="tool", tag_field="type", forbid_unknown_fields=True):
    name: str
    arguments: dict[str, msgspec.Raw] = {}


class Wait(msgspec.Struct, frozen=True, tag="wait", tag_field="type", forbid_unknown_fields=True):
    seconds: float


class Fail(msgspec.Struct, frozen=True, tag="fail", tag_field="type", forbid_unknown_fields=True):
    reason: str


Step = Words | Call | Wait | Fail
Script = Sequence[Sequence[Sequence[Step]]]  # turns, of rounds, of steps


class ScriptFailure(Exception):
    """What a Fail step raises."""


class ScriptedModel:
    """script: for each turn its rounds; turns beyond the last begin again at the first."""

    name = "scripted"
    repeatable = True

    def __init__(self, script: Script = ()) -> None:
        self._script = script or _fixed_reply(REPLY_WORDS)

    def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        return limited(self._respond(request), request)

    async def _respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        words = _words_of(request)
        for step in self._round_of(request):
            match step:
                case Words(text, phase):
                    yield TextDelta(text.replace(CALLERS_WORDS, words), phase)
                case Call(name, arguments):
                    quoted = msgspec.json.encode(words).decode()[1:-1]
                    filled = msgspec.json.encode(arguments).decode().replace(CALLERS_WORDS, quoted)
                    yield ToolCall(new_tool_call_id(), name, filled)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Fail(reason):
                    raise ScriptFailure(reason)
        yield RoundDone()

    async def close(self) -> None:
        """Nothing to close."""

    def _round_of(self, request: ModelRequest) -> Sequence[Step]:
        turn, calls = 0, 0
        for item in request.items:
            if isinstance(item, MessageItem) and item.role == "user":
                turn, calls = turn + 1, 0
            elif isinstance(item, ToolCallItem):
                calls += 1
        rounds = self._script[max(0, turn - 1) % len(self._script)]
        for steps in rounds:
            made = sum(isinstance(step, Call) for step in steps)
            if calls < made or made == 0:
                return steps
            calls -= made
        return ()


def _words_of(request: ModelRequest) -> str:
    said = (item.text for item in reversed(request.items) if isinstance(item, MessageItem) and item.role == "user")
    return next(said, "")


def load_script(path: str) -> Script:
    """path: JSON list of turns, of rounds, of steps such as {"type": "say", "text": "Hello."}. Raises BadSettings."""
    try:
        script = msgspec.json.decode(Path(path).read_bytes(), type=list[list[list[Step]]])
    except (OSError, msgspec.MsgspecError) as error:
        raise BadSettings(SETTING, f"{path}: {error}", "a JSON list of turns, of rounds, of steps") from error
    if not script:
        raise BadSettings(SETTING, f"{path} has no turn", ALLOWED)
    return script


def _fixed_reply(words: int) -> Script:
    text = "I hear you, and this is " + "all that I was told to say " * (words // 7)
    return [[[Words(text.strip() + ".", "final_answer")]]]
