"""Calls on virtual time, under a network and a fate that a seed decides: whatever happens, what was promised holds."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from sim import agent_mutations, mutations
from sim.__main__ import replay
from sim.acts import Act
from sim.history import FAULTY, History, about, late_listeners, late_takers, late_writers, lost_in_tools, plan
from sim.run import simulate
from trunkline.proto.subjects import Stage

Guard = Callable[[], AbstractContextManager[None]]
SMOKE = 60
ALL = 10_000
ALL_LIMIT_S = 900  # on two idle cores it takes three and a half minutes
MANY = 120  # for a guard that stands before others: a history in ten shows that it is off


def simulation(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sim", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


def histories(first: int, seeds: int) -> None:
    ran = simulation("--from", str(first), "--seeds", str(seeds))

    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]


def test_a_few_histories_keep_every_promise() -> None:
    histories(0, SMOKE)


@pytest.mark.sim
@pytest.mark.timeout(ALL_LIMIT_S)
def test_ten_thousand_histories_keep_every_promise() -> None:
    histories(SMOKE, ALL)


@pytest.mark.sim
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
        assert violates(set(), 40)


def test_without_a_replay_words_are_lost() -> None:
    with mutations.nothing_is_heard_again():
        assert violates({"turns_are_what_was_said"}, 40, "stt")


def test_without_what_a_client_keeps_a_lost_gateway_takes_words_with_it() -> None:
    with mutations.nothing_is_asked_of_a_client_again():
        assert violates({"turns_are_what_was_said"}, 40, "gateway")


def test_without_a_higher_hub_number_no_gateway_takes_a_call_from_another() -> None:
    with mutations.gateways_take_calls_without_a_higher_number():
        assert violates({"stays_connected"}, 40, "gateway")


def test_without_the_records_compare_and_set_epochs_go_back_and_events_collide() -> None:
    with mutations.appends_compare_nothing():
        assert violates({"epoch_never_decreases", "index_is_dense"}, MANY, "agent")


def test_without_claims_a_tool_takes_effect_twice() -> None:
    assert breaks("at_most_one_effect", 40, lost_in_tools, mutations.every_claim_is_granted)


def test_without_the_attach_check_what_is_left_of_an_earlier_placement_changes_what_was_said() -> None:
    assert breaks("turns_are_what_was_said", MANY, late_listeners, mutations.any_attach_is_taken)


def test_an_agent_that_nobody_outranks_takes_the_record_from_a_later_placement() -> None:
    assert breaks("owner_is_next_epoch", 20, late_takers, mutations.any_attach_takes_the_record)


def test_without_the_epoch_checks_whoever_gets_past_the_compare_and_set_decides_the_next_epoch() -> None:
    """With the compare-and-set on, no entry of a lower epoch is ever stored: these checks stand behind it."""
    off, besides = mutations.any_epoch_is_taken, mutations.appends_compare_nothing

    assert breaks("owner_is_next_epoch", 20, late_writers, off, besides)


AGENTS_GUARDS: list[tuple[Guard, Act, str]] = [
    (agent_mutations.tools_dont_wait_for_people, "refund", "approved_before_effect"),
    (agent_mutations.a_denial_is_no_obstacle, "refund", "approved_before_effect"),
    (agent_mutations.people_are_told_at_once, "refund", "decisions_stand"),
    (agent_mutations.what_a_person_decided_may_be_decided_again, "refund", "approvals_are_decided_once"),
    (agent_mutations.approvals_are_forgotten_with_their_agent, "refund", "turns_are_answered"),
    (agent_mutations.answers_dont_wait_for_people, "promise", "answers_wait_for_a_person"),
    (agent_mutations.segments_skip_policy, "secret", "forbidden_is_nowhere"),
    (agent_mutations.the_model_answers_whatever_is_said, "refused", "blocked_words_are_not_answered"),
    (agent_mutations.messages_are_the_first_agents, "handoff", "items_follow_handoffs"),
    (agent_mutations.an_interruption_leaves_the_end_of_the_call, "end", "goodbyes_are_heard"),
]


@pytest.mark.sim
@pytest.mark.parametrize(("guard", "act", "invariant"), AGENTS_GUARDS, ids=lambda one: getattr(one, "__name__", ""))
def test_without_a_guard_of_the_agents_its_invariant_is_broken(guard: Guard, act: Act, invariant: str) -> None:
    assert breaks(invariant, 40, lambda seed: about(seed, act), guard)


def test_a_seed_is_replayed_with_the_stages_that_it_failed_in() -> None:
    stages: tuple[Stage, ...] = ("agent", "stt")
    told = simulation("--from", "3", "--seeds", "1", "--stages", ",".join(stages))

    assert told.stdout.rstrip().endswith(simulate(plan(3, stages)).digest)
    assert replay(3, stages) == "make sim SEEDS=1 FROM=3 STAGES=agent,stt"
    assert replay(3, FAULTY) == "make sim SEEDS=1 FROM=3"


def violates(invariants: set[str], seeds: int, *stages: Stage) -> bool:
    """Whether all of these are, or any if none is named, within so many histories. stages: in which faults happen."""
    found: set[str] = set()
    for seed in range(seeds):
        found |= broken(plan(seed, stages or FAULTY))
        if found and invariants <= found:
            return True
    return False


def breaks(
    invariant: str, seeds: int, history: Callable[[int], History], off: Guard, besides: Guard = nullcontext
) -> bool:
    """Whether it is violated with a guard off, and not with it on, in one of so many histories.

    besides: what is off in both.
    """
    for seed in range(seeds):
        with off():
            found = invariant in broken(history(seed))
        if found:
            with besides():
                if invariant not in broken(history(seed)):
                    return True
    return False


def broken(history: History) -> set[str]:
    return {one.invariant for one in simulate(history).violations}
