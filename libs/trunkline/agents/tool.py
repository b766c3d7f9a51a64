"""Tools: typed Python functions that an agent may have run while a caller waits.

A Tool is made once, when the agent file loads, and whatever can be wrong with it is said then.
"""

import functools
import inspect
import math
import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, ParamSpec, TypeVar, overload

from trunkline.agents.approval import Approval
from trunkline.agents.call import CallContext
from trunkline.agents.context import ToolContext
from trunkline.agents.docstring import parse_docstring
from trunkline.agents.schema import JsonSchema, Schema, dictations_of, signature_of
from trunkline.proto.errors import BadInput
from trunkline.proto.tool import RunsAt

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT_S = 10.0
TIMEOUT_LIMIT_S = 3600.0
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what the model APIs take, and one token of a subject


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A function as agent, model and tool runner see it.

    name, description, parameters: what the model is told; parameters is a JSON Schema of an object.
    timeout_s: a run that takes longer is answered with "timeout".
    commentary: said while the tool runs; "" leaves it to the model. `{city}` stands for the argument of that name.
    concurrency: runs of this tool at a time in one runner process, 0 for no limit of its own.
    read_only: it changes nothing anywhere, so that running it for nothing does no harm.
    retry: running it twice for one wish is harmless, so it is run again when nobody can tell how a run ended; true of
        every read_only tool.
    asynchronous: it runs on the event loop; any other tool runs in a thread.
    approval: a person decides over each call with its exact arguments before it runs; None for nobody.
    cancel_on_interrupt: stopped when the caller interrupts; only of asynchronous tools, at their next await. Any other
        tool goes on, and its result stays in the conversation.
    background: the answer doesn't wait for its result, which the caller is told once it is there.
    runs: where: by a tool runner, at the client of the call, or by the agent itself; then control says what it does:
        `end_call`, …
    pin: of a tool server's tool, see RunTool; "" for any other.
    enabled: whether the model is told of it in this round; quick, and asked often. None for always.
    """

    name: str
    description: str
    function: Callable[..., object]
    signature: Schema
    timeout_s: float = TIMEOUT_S
    commentary: str = ""
    concurrency: int = 0
    read_only: bool = False
    retry: bool = False
    asynchronous: bool = False
    approval: Approval | None = None
    cancel_on_interrupt: bool = False
    background: bool = False
    runs: RunsAt = "runner"
    control: str = ""
    pin: str = ""
    enabled: Callable[[CallContext], bool] | None = None
    parameters: JsonSchema = field(init=False)
    dictations: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadInput("tool name", f"{self.name[:80]!r} is unusable", "1 to 64 of A-Z a-z 0-9 _ -")
        if not isinstance(self.timeout_s, int | float):
            what = type(self.timeout_s).__name__
            raise BadInput(f"{self.name}: timeout_s", f"is of type {what}", "a number of seconds")
        if not (math.isfinite(self.timeout_s) and 0 < self.timeout_s <= TIMEOUT_LIMIT_S):
            raise BadInput(f"{self.name}: timeout_s", f"is {self.timeout_s}", f"more than 0, up to {TIMEOUT_LIMIT_S:g}")
        if self.concurrency < 0:
            raise BadInput(f"{self.name}: concurrency", f"is {self.concurrency}", "0 (no limit) or more")
        if self.cancel_on_interrupt and not self.asynchronous:
            raise BadInput(f"{self.name}: cancel_on_interrupt", "is set, and a thread can't be stopped", "async def")
        self._check_commentary()
        object.__setattr__(self, "parameters", self.signature.json_schema())
        object.__setattr__(self, "dictations", tuple(dict.fromkeys(dictations_of(self.parameters))))

    def _check_commentary(self) -> None:
        names = self.signature.names
        allowed = "text with " + (", ".join(f"{{{name}}}" for name in names) or "no {…} in it")
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(self.commentary) if name is not None]
        except ValueError as error:
            raise BadInput(f"{self.name}: commentary", str(error), allowed) from error
        for name in fields:
            if name not in names:
                raise BadInput(f"{self.name}: commentary", f"speaks of {{{name}}}", allowed)

    def commentary_for(self, arguments: str) -> str:
        """The commentary with a call's arguments (a JSON object) filled in; "" where they don't fit it."""
        try:
            given = self.signature.decode(arguments)
        except BadInput:  # the run itself will say what is wrong with them
            given = {}
        try:
            return self.commentary.format(**{**self.signature.defaults, **given})
        except (KeyError, ValueError, TypeError):
            return ""

    def bind(self, arguments: str, context: ToolContext) -> Callable[[], object]:
        """The run itself, ready to be called: gives the return value, or its awaitable if asynchronous.

        arguments: JSON object from the model. Raises BadInput when they don't fit.
        """
        given = self.signature.decode(arguments)
        if self.signature.context:
            given[self.signature.context] = context
        return functools.partial(self.function, **given)


class FunctionTool(Tool, Generic[P, R]):
    """What `@tool` makes of a function. It can still be called as one: `await get_weather("Tokyo")`."""

    __slots__ = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)  # type: ignore[return-value]  # made from a Callable[P, R] by tool()


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    *,
    name: str = "",
    description: str = "",
    timeout_s: float = TIMEOUT_S,
    commentary: str = "",
    concurrency: int = 0,
    read_only: bool = False,
    retry: bool = False,
    approval: Approval | bool = False,
    cancel_on_interrupt: bool = False,
    background: bool = False,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str = "",
    description: str = "",
    timeout_s: float = TIMEOUT_S,
    commentary: str = "",
    concurrency: int = 0,
    read_only: bool = False,
    retry: bool = False,
    approval: Approval | bool = False,
    cancel_on_interrupt: bool = False,
    background: bool = False,
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Make a function a tool: `@tool` alone, or `@tool(timeout_s=3, commentary="Looking up order {order}.")`.

    The function is `async def`, or plain: plain ones run in a thread and may block. Its parameters are annotated;
    the schema comes from the annotations, the tool's and its arguments' descriptions from the docstring (`Args:`).
    A parameter annotated `ToolContext` gets the call's context. The return value is anything that JSON can hold: text
    is spoken or read by the model as it is. Raise any exception to tell the model that it failed.

    `Annotated[str, msgspec.Meta(pattern=r"^\\d{4}$")]` does two things: other text never reaches the function, and
    a caller who dictates the digits with pauses is not cut off before the fourth.

    name: the function's own by default. description: the docstring by default. approval: True for an `Approval` as it
    is by default. For the rest see `Tool`.
    Raises BadInput, when the agent file loads, with what can't be used.
    """

    def make(decorated: Callable[P, R]) -> FunctionTool[P, R]:
        own_name = name or getattr(decorated, "__name__", "")
        documented = parse_docstring(inspect.getdoc(decorated) or "")
        return FunctionTool(
            name=own_name,
            description=description or documented.description,
            function=decorated,
            signature=signature_of(own_name, decorated, documented),
            timeout_s=timeout_s,
            commentary=commentary,
            concurrency=concurrency,
            read_only=read_only,
            retry=retry or read_only,
            asynchronous=inspect.iscoroutinefunction(decorated),
            approval=Approval() if approval is True else (approval or None),
            cancel_on_interrupt=cancel_on_interrupt,
            background=background,
        )

    return make if function is None else make(function)
