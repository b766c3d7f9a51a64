"""Becomes another program that dies with its parent: `python -I -S child.py PARENT_PID PROGRAM ARG…`.

A program of its own because the request belongs between fork and exec, where Python code in a process with
threads is unsafe, and because nats-server can't be taught to watch its parent. Linux only; elsewhere it is exec alone.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2); kept across exec


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606  # the command is trunkline up's own


if __name__ == "__main__":
    main()
