"""For a bench alone: an agent whose record is in its memory, so that what the durable one costs can be told.

On the path of a stack's processes this is run before each; only the agent's is changed, and says so by a file, which
BENCH_IN_MEMORY names.
"""

import os
import sys
from pathlib import Path

if "trunkline.agent.main" in sys.orig_argv:
    from trunkline import record

    def in_memory(*_: object, **__: object) -> record.MemoryRecordStore:
        Path(os.environ["BENCH_IN_MEMORY"]).touch()
        return record.MemoryRecordStore()

    record.NatsRecordStore = in_memory  # type: ignore[assignment, misc]
