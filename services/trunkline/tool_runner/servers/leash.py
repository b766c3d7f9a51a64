"""Runs a command that ends with whoever started this, however that ends: `python leash.py FD COMMAND …`.

FD is the reading end of a pipe of which only the starter has the other end; once that is closed, by the starter or by
its death, the command and whatever it has started are killed. Run as a file of its own: standard library only.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main(lifeline: int, command: list[str]) -> int:
    """The command's exit status; 127 where it can't be started."""
    try:
        child = subprocess.Popen(command, start_new_session=True)  # noqa: S603  # the agent file's command
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 127
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # so that their ends are the child's alone, and heard of when it ends
        os.dup2(nowhere, stream)
    threading.Thread(target=_kill_at_the_end, args=(lifeline, child.pid), daemon=True).start()
    status = child.wait()
    _kill(child.pid)  # what it left behind
    return status if status >= 0 else 128 - status


def _kill_at_the_end(lifeline: int, group: int) -> None:
    os.read(lifeline, 1)
    _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), sys.argv[2:]))
