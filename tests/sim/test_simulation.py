"""Calls on virtual time, under a network and a fate that a seed decides: whatever happens, what was promised holds."""

import os
import subprocess
import sys

import pytest

from sim import mutations
from sim.history import FAULTY, plan
from sim.run import simulate
from trunkline.proto.subjects import Stage

SMOKE = 300
ALL = 10_000
ALL_LIMIT_S = 900  # on two idle cores it takes some five minutes


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


@pytest.mark.sim
@pytest.mark.timeout(ALL_LIMIT_S)
def test_ten_thousand_histories_keep_every_promise() -> None:
    histories(SMOKE, ALL)


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
        assert violated(40)


def test_without_a_replay_words_are_lost() -> None:
    with mutations.nothing_is_heard_again():
        assert "turns_are_what_was_said" in violated(10, "stt")


def test_without_the_records_compare_and_set_epochs_go_back() -> None:
    with mutations.appends_compare_nothing():
        assert violated(10, "agent")


def test_without_claims_a_tool_takes_effect_twice() -> None:
    with mutations.every_claim_is_granted():
        assert violated(40, "agent", "tool_runner")


def violated(seeds: int, *stages: Stage) -> set[str]:
    """What is violated in the first history in which anything is, within so many. stages: in which faults happen."""
    for seed in range(seeds):
        if violations := simulate(plan(seed, stages or FAULTY)).violations:
            return {one.invariant for one in violations}
    return set()
