"""How an agent goes after one tool call until it has its outcome: what to do next, and when. Pure.

A look at the claim decides, never silence: without a claim nothing ran, with one that has no result nobody knows.
Times in seconds on one clock that only rises. See docs/adr/0010-claims.md.
"""

from enum import Enum

import msgspec

from trunkline.proto.record import Claim
from trunkline.proto.tool import RunTool, ToolResult, ToolStatus

ASK_S = 0.3  # between two askings: an order that is sent again does no harm
RETRY_S = 0.05  # after the first refusal of a runner; doubled each time
RETRY_LIMIT_S = 0.5
NO_RUNNER_S = 1.0  # a runner that is being restarted comes back within
OVERDUE_S = 0.5  # a result may come this much after its deadline
UNHEARD_LIMIT = 2  # askings in a row that reach nobody: one may be a runner that is reconnecting
ATTEMPTS = 3  # of a tool that may be run again
NOBODY = "no tool runner is available"


class Step(Enum):
    ASK = "send the order: to the runner that has it, or to the queue of all"
    LOOK = "read the claim"
    VOID = "make the claim void, so that nobody can run it any more"


class Pursuit:
    """order: as it is to be sent, attempt and all. runner: that said it runs it; "" while nobody has."""

    def __init__(self, order: RunTool, *, retry: bool, now_s: float, overdue_s: float, adopted: bool = False) -> None:
        """retry: see Tool. adopted: an earlier owner of the call may have sent it already."""
        self.order = order
        self.runner = ""
        self.maybe_sent = adopted
        self._adopted = adopted
        self._retry = retry
        self._overdue_s = overdue_s
        self._next_s = now_s
        self._look = adopted
        self._refused = ""
        self._refusals = 0
        self._alone_since_s: float | None = None
        self._asking = False  # an asking of the runner is out, and nothing came back
        self._unheard = 0

    def due_s(self) -> float:
        return min(self._next_s, self._overdue_s)

    def step(self, now_s: float, *, wanted: bool) -> Step:
        """wanted: the response that it was for goes on; what nobody has begun is not begun for one that doesn't."""
        unwanted = not wanted and not self.runner
        return Step.LOOK if self._look or unwanted or now_s >= self._overdue_s else Step.ASK

    # what happens

    def asked(self, now_s: float) -> None:
        self.maybe_sent = True
        self._asking = True
        self._next_s = now_s + ASK_S

    def started(self, runner: str) -> None:
        self.runner = runner
        self._asking, self._unheard = False, 0
        self._refusals, self._alone_since_s = 0, None

    def declined(self, reason: str, runner: str, now_s: float) -> None:
        if self.runner and self.runner != runner:  # the word of one that it had come to before
            return
        self.runner, self._alone_since_s = "", None
        self._refuse(reason, now_s)

    def nobody(self, now_s: float) -> None:
        """An order to the queue reached no runner."""
        if self.runner or self._look or not self.maybe_sent:
            return
        if self._alone_since_s is None:
            self._alone_since_s = now_s
        if now_s - self._alone_since_s >= NO_RUNNER_S:
            self._refused = NOBODY
            self._look_at(now_s)
        else:
            self._refuse(NOBODY, now_s)

    def unheard(self, runner: str, now_s: float) -> None:
        """Nobody listens at that runner's inbox; counted once per asking."""
        if runner != self.runner or not self._asking:
            return
        self._asking = False
        self._unheard += 1
        if self._unheard >= UNHEARD_LIMIT:
            self._look_at(now_s)

    def looked(self, claim: Claim | None, now_s: float, *, wanted: bool) -> ToolResult | Step:
        """The outcome; or VOID; or ASK, when step and due_s tell what comes next."""
        self._look = False
        if claim is None:
            if wanted and now_s < self._overdue_s and not self._given_up(now_s):
                return self._ask_at(now_s)
            return Step.VOID
        if claim.void:
            return self._not_run(wanted)
        if claim.result is not None:
            return self.concluded(claim.result, now_s)
        if now_s >= self._overdue_s:
            return self._unknown("no result came in time")
        if claim.runner == self.runner and self._unheard >= UNHEARD_LIMIT:
            return self.concluded(self._unknown("it was cut off"), now_s)
        self.started(claim.runner)
        return self._ask_at(now_s)

    def was_given(self, deadline_us: int, overdue_s: float) -> None:
        """By an earlier owner, to the runner that has claimed it: until then it may run, whatever is recorded."""
        if self._adopted and deadline_us > self.order.deadline_us:
            self.order = msgspec.structs.replace(self.order, deadline_us=deadline_us)
            self._overdue_s = max(self._overdue_s, overdue_s)

    def not_looked(self, now_s: float) -> ToolResult | Step:
        """The claim could not be read."""
        if now_s >= self._overdue_s:
            return self._unknown("no result came in time")
        self._look_at(now_s + RETRY_LIMIT_S)
        return Step.LOOK

    def concluded(self, result: ToolResult, now_s: float) -> ToolResult | Step:
        """result, or ASK for a further attempt where one may follow."""
        attempt = self.order.attempt + 1
        if result.status != "unknown" or not self._retry or attempt > ATTEMPTS or now_s >= self._overdue_s - OVERDUE_S:
            return result
        self.order = msgspec.structs.replace(self.order, attempt=attempt)
        self.runner, self._unheard, self._refusals, self._alone_since_s = "", 0, 0, None
        return self._ask_at(now_s)

    # what follows

    def _given_up(self, now_s: float) -> bool:
        return self._alone_since_s is not None and now_s - self._alone_since_s >= NO_RUNNER_S

    def _refuse(self, reason: str, now_s: float) -> None:
        self._refused = reason
        self._next_s = now_s + min(RETRY_LIMIT_S, RETRY_S * 2**self._refusals)
        self._refusals += 1

    def _look_at(self, at_s: float) -> None:
        self._look, self._next_s = True, at_s

    def _ask_at(self, at_s: float) -> Step:
        self._look, self._next_s = False, at_s
        return Step.ASK

    # in words

    def _not_run(self, wanted: bool) -> ToolResult:
        """Of an attempt behind another one that may have run, this says nothing."""
        if self.order.attempt > 1:
            return self._unknown("it was cut off")
        if not wanted:
            return self._result("cancelled", "This was not run: the caller interrupted.")
        why = "its time was over"
        if self._refused:
            why = NOBODY if self._refused == NOBODY else f"no tool runner takes it ({self._refused})"
        return self._result("error", f"{self.order.name} was not run: {why}.")

    def _unknown(self, why: str) -> ToolResult:
        spoken = self.order.name.replace("_", " ")
        return self._result("unknown", f"It is not known whether {spoken} was done: {why}.")

    def _result(self, status: ToolStatus, output: str) -> ToolResult:
        return ToolResult(self.order.tool_call, status, output, self.runner)
