"""For a bench alone: an agent whose record is in its memory, so that what the durable one costs can be told.

On the path of a stack's processes this is run before each; only the agent's is changed.
"""

import sys

if "trunkline.agent.main" in sys.orig_argv:
    from trunkline import record

    record.NatsRecordStore = lambda *_, **__: record.MemoryRecordStore()  # type: ignore[assignment, misc]
