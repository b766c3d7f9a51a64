"""Calls on virtual time, under a network and a fate that a seed decides: whatever happens, what was promised holds."""

import os
import subprocess
import sys

from sim import mutations
from sim.history import plan
from sim.run import simulate

SMOKE = 150


def histories(first: int, seeds: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "sim", "--from", str(first), "--seeds", str(seeds)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]


def test_a_few_histories_keep_every_promise() -> None:
    histories(0, SMOKE)


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    code = "from sim.history import plan; from sim.run import simulate;"
    code += " print([simulate(plan(seed)).digest for seed in range(8)])"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert len(digests) == 1


def test_a_bug_that_was_planted_is_found() -> None:
    with mutations.a_lost_message_is_never_sent_again():
        found = first_violation(60)

    assert found is not None


def first_violation(seeds: int) -> str | None:
    """What is violated first, within so many seeds."""
    for seed in range(seeds):
        if violations := simulate(plan(seed)).violations:
            return violations[0].invariant
    return None
