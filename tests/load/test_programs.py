"""`trunkline load` with its own processes of callers, where there is no stack."""

import socket
import subprocess

import pytest

from support.running_stack import COMMAND

pytestmark = pytest.mark.programs


def test_where_nobody_answers_it_says_so_in_one_line() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and doesn't listen
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        command = [*COMMAND, "load", "--url", url, "--calls", "3", "--seconds", "2"]

        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "none of 5 calls" in done.stderr
    assert "no connection: Connect" in done.stderr
