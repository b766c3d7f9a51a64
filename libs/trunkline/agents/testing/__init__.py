"""Talk to an agent in a plain unit test: no service, no bus, no audio; what is tested is what runs on a call.

    from trunkline.agents.testing import calls, rehearse, says, scripted

    def test_an_order_is_looked_up() -> None:
        model = scripted([calls("order_status", order="4712"), says("It comes tomorrow.", phase="final_answer")])
        with rehearse("shop.py", model=model) as call:
            reply = call.says("Where is order 4712?")

        assert reply.answer == "It comes tomorrow."
        assert reply.tool("order_status").status == "ok"

`async with rehearse(…) as call` is the same with `await call.says(…)`. Conversation, commit point, policy, approvals,
handoffs and record are the agent service's own, and tools run in the tool runner's, all in memory and in a thread of
this process. Only the caller's side is played: what is said is typed, and what the agent says is read at once.
"""

from trunkline.agents.testing.call import AsyncCall, Call, Rehearsing, rehearse
from trunkline.agents.testing.model import Asked, Step, calls, fails, says, scripted, waits
from trunkline.agents.testing.seen import (
    GivenVerdict,
    Message,
    RehearsalFailed,
    Reply,
    ToolUse,
    Transfer,
    Waiting,
)

__all__ = [
    "Asked",
    "AsyncCall",
    "Call",
    "GivenVerdict",
    "Message",
    "RehearsalFailed",
    "Rehearsing",
    "Reply",
    "Step",
    "ToolUse",
    "Transfer",
    "Waiting",
    "calls",
    "fails",
    "rehearse",
    "says",
    "scripted",
    "waits",
]
