"""For a soak's own test alone: a gateway that keeps every call that has ended, so that it is seen whether a soak finds
out.

On the path of a stack's processes this is run before each; only the gateway's is changed.
"""

import sys

if "trunkline.gateway.main" in sys.orig_argv:
    from trunkline.gateway.call import Call
    from trunkline.gateway.calls import Calls

    kept: list[Call] = []
    forget = Calls._forget

    def keep(calls: Calls, call: Call) -> None:
        kept.append(call)
        forget(calls, call)

    Calls._forget = keep  # type: ignore[method-assign]
