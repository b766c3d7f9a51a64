"""How every model graph of this stage is opened: few threads, and none that spins.

A session is shared by all threads, one run each; measured, more threads per run cost more CPU than they save time.
"""

from pathlib import Path

import onnxruntime  # type: ignore[import-untyped]  # ships no types


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """One thread per run, and none that spins while it waits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
