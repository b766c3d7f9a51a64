"""Guardrails: an agent's policy. Each looks at words or at a tool call before they have any effect, and says a verdict.

Where a verdict comes from a function that raises or takes too long, it is the guardrail's `on_failure`.
"""

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

from trunkline.agents.call import CallContext
from trunkline.agents.sensitive import KINDS, Kind
from trunkline.proto.errors import BadInput
from trunkline.proto.image import ShownImage
from trunkline.proto.policy import Action
from trunkline.proto.response import Phase

On = Literal["input", "output", "tool_arguments", "tool_result"]
ON: tuple[On, ...] = ("input", "output", "tool_arguments", "tool_result")
TIMEOUT_S = 2.0
SAFE_REPLY = "I am sorry, I can't help with that."


@dataclass(frozen=True, slots=True)
class Check:
    """What a guardrail is asked about.

    on: where. text: the caller's words; the segment, or the whole answer; the tool's arguments or its result (JSON).
    tool: the tool's name, arguments: as the model gave them (tool_arguments, tool_result).
    phase: of the message that the text is of, None where the model hasn't said yet. before: what of that message has
    passed already (output). images: that the caller shows with the words: what is known of each, not the pictures
    themselves (input).
    """

    on: On
    text: str
    call: CallContext
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    phase: Phase | None = None
    before: str = ""
    images: tuple[ShownImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """action: see `allow`, `rewrite`, `block`, `hand_off`, `end`. text: of rewrite, the new text; else what is said
    to the caller (of a tool: what the model reads instead of a result). to: the agent that goes on.
    reason: for the record, never said.
    """

    action: Action
    text: str = ""
    to: str = ""
    reason: str = ""


def allow() -> Verdict:
    return Verdict("allow")


def rewrite(text: str, *, reason: str = "") -> Verdict:
    """Go on with this text instead: words, or a tool's arguments or result as JSON."""
    return Verdict("rewrite", text, reason=reason)


def block(reply: str = SAFE_REPLY, *, reason: str = "") -> Verdict:
    """Nothing of it is used; the caller is told reply, a tool's model reads it."""
    return Verdict("block", reply, reason=reason)


def hand_off(to: str, *, reason: str = "") -> Verdict:
    """Nothing of it is used; the agent of this name, of the same file, answers instead."""
    return Verdict("hand_off", to=to, reason=reason)


def end(reply: str = "Goodbye.", *, reason: str = "") -> Verdict:
    """Nothing of it is used; the caller is told reply, and the call is ended."""
    return Verdict("end", reply, reason=reason)


Judgement = Verdict | None | Awaitable[Verdict | None]
Judge = Callable[[Check], Judgement]


@dataclass(frozen=True, slots=True, eq=False)
class Guardrail:
    """judge: gives a Verdict, or None to allow; plain functions run in a thread, and may block.

    on: where it looks, one or several. tools: names of the tools that it looks at, none for all.
    timeout_s: then it has failed. on_failure: "block" with `reply`, or "allow"; either is recorded.
    parallel: at the input, the model is asked at the same time, and nothing of what it says or wants is used before
    the verdict. sensitive: kinds of values (trunkline.agents.sensitive.KINDS) that are replaced by tokens at its points
    but the output, before `judge` and everything else sees them. inline: judge is called where it stands, without a
    thread or a time limit; only for what neither waits nor computes for long.
    """

    name: str
    judge: Judge
    on: tuple[On, ...]
    tools: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S
    on_failure: Literal["block", "allow"] = "block"
    reply: str = SAFE_REPLY
    parallel: bool = False
    sensitive: tuple[Kind, ...] = ()
    inline: bool = False

    def __post_init__(self) -> None:
        if not (self.name and self.name.isprintable() and len(self.name) <= 64):
            raise BadInput("guardrail name", f"is {self.name[:80]!r}", "one line of 1 to 64 characters")
        unknown = [point for point in self.on if point not in ON]
        if unknown or not self.on:
            raise BadInput(f"{self.name}: on", f"is {unknown[0] if unknown else 'empty'!r}", ", ".join(ON))
        if self.on_failure not in ("block", "allow"):
            raise BadInput(f"{self.name}: on_failure", f"is {self.on_failure!r}", "block, allow")
        if not (math.isfinite(self.timeout_s) and 0 < self.timeout_s <= 60):
            raise BadInput(f"{self.name}: timeout_s", f"is {self.timeout_s}", "seconds, more than 0, up to 60")
        if self.parallel and self.on != ("input",):
            raise BadInput(f"{self.name}: parallel", "is set", 'only with on="input"')

        strange = [kind for kind in self.sensitive if kind not in KINDS]
        if strange:
            raise BadInput(f"{self.name}: sensitive", f"is {strange[0]!r}", ", ".join(KINDS))

    def looks_at(self, on: On, tool: str = "") -> bool:
        return on in self.on and (not tool or not self.tools or tool in self.tools)

    @property
    def asynchronous(self) -> bool:
        call = getattr(self.judge, "__call__", None)  # noqa: B004  # an object may judge asynchronously
        return inspect.iscoroutinefunction(self.judge) or inspect.iscoroutinefunction(call)


@overload
def guardrail(judge: Judge, /) -> Guardrail: ...


@overload
def guardrail(
    *,
    on: On | Sequence[On] = "output",
    name: str = "",
    tools: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
    on_failure: Literal["block", "allow"] = "block",
    reply: str = SAFE_REPLY,
    parallel: bool = False,
) -> Callable[[Judge], Guardrail]: ...


def guardrail(
    judge: Judge | None = None,
    /,
    *,
    on: On | Sequence[On] = "output",
    name: str = "",
    tools: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
    on_failure: Literal["block", "allow"] = "block",
    reply: str = SAFE_REPLY,
    parallel: bool = False,
) -> Guardrail | Callable[[Judge], Guardrail]:
    """Make a function a guardrail: it takes a `Check` and gives a verdict, or None to allow.

        @guardrail(on="input")
        def no_competitors(check: Check) -> Verdict | None:
            return block("Let us stay with our own shop.") if "acme" in check.text.lower() else None

    name: the function's own by default. For the rest see `Guardrail`. Raises BadInput when the agent file loads.
    """

    def make(decorated: Judge) -> Guardrail:
        points: tuple[On, ...] = (on,) if isinstance(on, str) else tuple(on)
        own = name or getattr(decorated, "__name__", "")
        return Guardrail(own, decorated, points, tuple(tools), timeout_s, on_failure, reply, parallel)

    return make if judge is None else make(judge)
