"""What a tool may know of the call it runs for; nothing of it outlives the run but the state.

Tool runners keep nothing in memory between runs: the next tool of the same call may run in another process.
"""

import time
from collections.abc import Callable

import msgspec


class ToolContext:
    """Handed to a tool that has a parameter annotated `ToolContext`; the model never sees that parameter.

    call_id: of the call, `rtc_…`.
    idempotency_key: the same whenever this very tool call is run again (after a lost answer or process): give it to
        the system that carries out the effect, so that twice is once.
    deadline: wall time in seconds since the epoch; the result of a run that is not done by then is not waited for.
    state: a dict of JSON values that all tools of the call share, e.g. `context.state["verified"] = True`. What
        the tool changed in it is recorded with its result and is there for the call's next tool. Of tools that run
        at the same time, the later result wins for each top-level key. None means the same as an absent key.
    pin: see RunTool; for tools of Trunkline's own.
    """

    __slots__ = ("_before", "_report", "call_id", "deadline", "idempotency_key", "pin", "state")

    def __init__(
        self,
        call_id: str,
        idempotency_key: str,
        deadline: float,
        state: str = "{}",
        report: Callable[[str], None] = lambda text: None,
        pin: str = "",
    ) -> None:
        """state: JSON object. report: takes what `progress` says. pin: see RunTool. Raises msgspec.MsgspecError."""
        self.call_id = call_id
        self.idempotency_key = idempotency_key
        self.deadline = deadline
        self._report = report
        self.pin = pin
        self._before = msgspec.json.decode(state, type=dict[str, object])
        self.state: dict[str, object] = msgspec.json.decode(state, type=dict[str, object])

    def remaining_s(self) -> float:
        """Seconds until the deadline; 0 once it has passed."""
        return max(0.0, self.deadline - time.time())

    def progress(self, text: str) -> None:
        """Tell the caller, who waits, how it goes: said as commentary, if nothing else is being said. From any thread.

        `context.progress("Still looking, one more moment.")`
        """
        self._report(text)

    def state_patch(self) -> str:
        """What the tool changed, as a JSON object: new values by top-level key, null for a key that went.

        Raises TypeError when the tool left something in the state that is no JSON value.
        """
        after: dict[str, object] = msgspec.json.decode(msgspec.json.encode(self.state))
        patch = {key: value for key, value in after.items() if self._before.get(key) != value}
        patch |= {key: None for key in self._before if key not in after}
        return msgspec.json.encode(patch).decode()
