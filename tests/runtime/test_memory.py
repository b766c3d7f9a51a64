"""What was uploaded is given back to the system, in a process of its own since its memory is what is looked at."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from trunkline.runtime.memory import keep_large_apart

def held_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))

if sys.argv[1] == "apart":
    keep_large_apart()
before = held_mb()
for _ in range(2):
    held = [bytes(b"x" * 20_000_000) for _ in range(5)]
    wedge = [bytes(300) for _ in range(1_000)]
    del held
print(held_mb() - before)
"""


def kept_mb(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others give back by themselves")
def test_large_pieces_are_given_back_as_soon_as_they_are_freed() -> None:
    assert kept_mb("apart") < 10


CALLS = """
import gc
import sys
from collections import deque
from trunkline.runtime.memory import collect_sooner

class Call:
    def __init__(self):
        self.itself, self.said = self, [[n] for n in range(200)]

if sys.argv[1] == "sooner":
    collect_sooner()
gc.collect()
gc.freeze()
alive, most = deque(maxlen=40), 0
for _ in range(1_000):
    alive.append(Call())
    most = max(most, sum(isinstance(one, Call) for one in gc.get_objects()))
print(most - len(alive))
"""


def kept_calls(how: str) -> int:
    program = [sys.executable, "-c", CALLS, how]
    return int(subprocess.run(program, capture_output=True, check=True, text=True).stdout)


def test_of_calls_that_are_over_less_than_half_is_kept_of_what_python_would_keep() -> None:
    assert kept_calls("sooner") < kept_calls("as ever") / 2
