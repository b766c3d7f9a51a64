"""What came of a run, as the model reads it: JSON of the return value, or what went wrong in words.

Never a traceback: that belongs into the log. Pure.
"""

from dataclasses import dataclass, replace

import msgspec

from trunkline.agents import Tool, ToolContext
from trunkline.proto.errors import BadInput
from trunkline.proto.tool import ToolStatus
from trunkline.tool_runner.outage import is_outage

ERROR_CHARACTERS = 500
NOT_JSON = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """output, state_patch: see ToolResult. error: for the log, where the tool or its author is at fault.

    outage: what it needs can't be reached, whatever the arguments.
    """

    status: ToolStatus
    output: str
    state_patch: str = "{}"
    error: BaseException | None = None
    outage: bool = False


class Ended(Exception):
    """Raised by a tool of Trunkline's own whose end neither a return value nor an exception tells."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.output)
        self.outcome = outcome


def in_words(text: str) -> str:
    """text as a JSON string, shortened: what stands in `output` is always JSON."""
    shortened = text if len(text) <= ERROR_CHARACTERS else text[:ERROR_CHARACTERS] + "…"
    return msgspec.json.encode(shortened.encode("utf-8", "replace").decode()).decode()


def returned(tool: Tool, value: object, context: ToolContext, limit_bytes: int) -> Outcome:
    """limit_bytes: for the return value and the changed state together."""
    try:
        output = msgspec.json.encode(value).decode()
        patch = context.state_patch()
    except NOT_JSON as error:
        words = f"{tool.name} ran, but what it returned or left in the state is no JSON value: {error}"
        return Outcome("error", in_words(words), error=error)
    size_bytes = len(output.encode()) + len(patch.encode())
    if size_bytes > limit_bytes:
        words = f"{tool.name} ran, but its result of {size_bytes} bytes is over the limit of {limit_bytes} bytes"
        return Outcome("error", in_words(words), error=ValueError(words))
    return Outcome("ok", output, patch)


def raised(tool: Tool, error: BaseException) -> Outcome:
    """Nothing that the tool did to the state is kept."""
    if isinstance(error, Ended):
        return error.outcome
    return Outcome("error", in_words(f"{tool.name} failed: {_said(error)}"), error=error, outage=is_outage(error))


def misfit(tool: Tool, error: BadInput) -> Outcome:
    """Arguments that don't fit are the model's to mend, so nobody's log is told."""
    return Outcome("error", in_words(f"The arguments of {tool.name} don't fit. {error}"))


def refused(tool: Tool, said: str) -> Outcome:
    """said: by whoever carries it out, for the model to read."""
    return Outcome("error", in_words(f"{tool.name} failed: {said}"))


def unread(tool: Tool, why: str) -> Outcome:
    """It ran, and its result is of no use."""
    return Outcome("error", in_words(f"{tool.name} ran, but {why}."))


def timed_out(tool: Tool, limit_s: float) -> Outcome:
    words = f"{tool.name} did not finish within {limit_s:.3g} seconds{_effect(tool)}"
    return Outcome("timeout", in_words(words), outage=limit_s >= tool.timeout_s / 2)  # with less, it may be just slow


def cut_off(tool: Tool) -> Outcome:
    """The process ended first."""
    return Outcome("unknown", in_words(f"{tool.name} was cut off{_effect(tool)}"))


def cancelled(tool: Tool, attempt: int, *, begun: bool) -> Outcome:
    """The caller interrupted, and the tool says that it may be stopped then."""
    if not begun and attempt == 1:
        return Outcome("cancelled", in_words(f"{tool.name} was not run: the caller interrupted."))
    return Outcome("cancelled", in_words(f"{tool.name} was stopped, since the caller interrupted{_effect(tool)}"))


def away(outcome: Outcome) -> Outcome:
    """The same, of a tool whose server can't be reached."""
    return replace(outcome, outage=True)


def not_run(tool: Tool, why: str, attempt: int = 1) -> Outcome:
    """Nothing of this attempt was run. Of an earlier one that says nothing."""
    if attempt > 1:
        return cut_off(tool)
    return Outcome("error", in_words(f"{tool.name} was not run: {why}."))


def _said(error: BaseException) -> str:
    """An exception whose own text can't be made still has a name."""
    name = type(error).__name__
    try:
        return f"{name}: {error}" if str(error) else name
    except Exception:  # a rim: the exception is anybody's code
        return name


def _effect(tool: Tool) -> str:
    return "." if tool.read_only else "; whether it took effect is not known."
