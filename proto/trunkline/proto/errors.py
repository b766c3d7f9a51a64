"""Errors that any part may meet.

    TrunklineError
    ├── Undecodable        bytes on the bus that are no message
    │   └── UnknownTag     a message of a later release: skipped and counted
    ├── BadInput           a caller, client or operator gave something unusable: names the field and what is allowed
    │   └── BadSettings    the same, at start-up: exit status 2
    ├── Fenced             another process owns the call now
    └── StageUnavailable   no worker of a stage takes the call   (retryable)
        └── RecordUnavailable   nowhere can its record be kept

A class takes facts and writes the message; nobody parses text. Full is an answer (`Declined`), not an error.
"""

from typing import Literal

Why = Literal["full", "kept", "none", "draining", "declined", "other"]
"""There is no place: all are taken; the rest is kept for calls that lose their worker; nobody lives; all are going
away; those that had one would not."""


class TrunklineError(Exception):
    retryable = False


class Undecodable(TrunklineError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"undecodable message: {reason}")
        self.reason = reason


class UnknownTag(Undecodable):
    """call to seq: of its envelope, so that a link can acknowledge what it skips."""

    def __init__(self, tag: str, call: str, sender: str, attach: int, seq: int, ack: int) -> None:
        super().__init__(f"unknown tag {tag!r}")
        self.tag, self.call, self.sender, self.attach, self.seq, self.ack = tag, call, sender, attach, seq, ack


class BadInput(TrunklineError):
    """param: the field, as its giver spells it, empty for the whole; allowed: in words."""

    def __init__(self, param: str, problem: str, allowed: str, *, code: str = "invalid_value") -> None:
        where = f"{param}: " if param else ""
        super().__init__(f"{where}{problem}; allowed: {allowed}" if allowed else f"{where}{problem}")
        self.param, self.problem, self.allowed, self.code = param, problem, allowed, code


class BadSettings(BadInput):
    pass


class Fenced(TrunklineError):
    def __init__(self, call: str, epoch: int) -> None:
        super().__init__(f"call {call} is no longer owned under epoch {epoch}")
        self.call, self.epoch = call, epoch


class StageUnavailable(TrunklineError):
    retryable = True

    def __init__(self, stage: str, reason: str, retry_after_s: float = 1.0, *, why: Why = "other") -> None:
        super().__init__(f"no {stage} worker takes the call: {reason}")
        self.stage, self.reason, self.retry_after_s, self.why = stage, reason, retry_after_s, why


class RecordUnavailable(StageUnavailable):
    """stage is `record`, which is none."""

    def __init__(self, retry_after_s: float, reason: str = "no shard of the record answers") -> None:
        TrunklineError.__init__(self, f"no call can be taken at present: {reason}")
        self.stage, self.reason, self.retry_after_s, self.why = "record", reason, retry_after_s, "other"
