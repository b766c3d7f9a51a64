"""Holds what a run left behind against what was promised. Pure: the same for a run, a dump and a simulation.

A violation is a bug of Trunkline, or of the invariant; it is never noise.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from trunkline.cli.chaos import checks_caller, checks_nodes, checks_people, checks_policy, checks_record, checks_tools
from trunkline.cli.chaos.checks_tools import Effects
from trunkline.cli.chaos.evidence import Effect, Evidence, Resting
from trunkline.cli.chaos.facts import Facts, Violation

SLACK = {"rss_kb": (0.25, 30_000.0)}  # a figure may grow by this share and this much; others not at all

OF_A_CALL: Mapping[str, Callable[[Facts], Iterator[str]]] = {
    "epoch_never_decreases": checks_record.epoch_never_decreases,
    "owner_is_next_epoch": checks_record.owner_is_next_epoch,
    "hub_never_decreases": checks_record.hub_never_decreases,
    "index_is_dense": checks_record.index_is_dense,
    "ids_are_unique": checks_record.ids_are_unique,
    "ended_once": checks_record.ended_once,
    "no_strays": checks_record.no_strays,
    "responses_close": checks_record.responses_close,
    "segments_are_dense": checks_record.segments_are_dense,
    "played_was_said": checks_record.played_was_said,
    "said_is_heard_or_truncated": checks_record.said_is_heard_or_truncated,
    "stays_connected": checks_caller.stays_connected,
    "turns_are_what_was_said": checks_caller.turns_are_what_was_said,
    "segments_are_heard_once": checks_caller.segments_are_heard_once,
    "turns_are_answered": checks_caller.turns_are_answered,
    "replies_are_whole": checks_caller.replies_are_whole,
    "approvals_are_decided_once": checks_people.approvals_are_decided_once,
    "decisions_stand": checks_people.decisions_stand,
    "asked_with_the_intent": checks_people.asked_with_the_intent,
    "answers_wait_for_a_person": checks_people.answers_wait_for_a_person,
    "forbidden_is_nowhere": checks_policy.forbidden_is_nowhere,
    "blocked_words_are_not_answered": checks_policy.blocked_words_are_not_answered,
    "items_follow_handoffs": checks_policy.items_follow_handoffs,
    "goodbyes_are_heard": checks_policy.goodbyes_are_heard,
    "phases_are_known": checks_policy.phases_are_known,
}
OF_TOOLS: Mapping[str, Callable[[Facts, Effects], Iterator[str]]] = {
    "intents_have_outcomes": checks_tools.intents_have_outcomes,
    "at_most_one_effect": checks_tools.at_most_one_effect,
    "ok_means_one_effect": checks_tools.ok_means_one_effect,
    "effects_have_intents": checks_tools.effects_have_intents,
    "not_run_means_no_effect": checks_tools.not_run_means_no_effect,
    "effects_have_claims": checks_tools.effects_have_claims,
    "approved_before_effect": checks_people.approved_before_effect,
}
OF_A_RUN: Mapping[str, Callable[[Evidence], Iterator[Violation]]] = {
    "appends_return": checks_nodes.appends_return,
    "nodes_are_left": checks_nodes.nodes_are_left,
    "everything_is_replaced": checks_nodes.everything_is_replaced,
}
RESTING = "resting_at_baseline"
INVARIANTS = (*OF_A_CALL, *OF_TOOLS, *OF_A_RUN, RESTING)


def check(evidence: Evidence) -> list[Violation]:
    effects: dict[str, list[Effect]] = {}
    for effect in evidence.run.effects:
        effects.setdefault(effect.key, []).append(effect)
    calls = [Facts(call, evidence.run) for call in evidence.calls]
    found: list[Violation] = []
    for facts in calls:
        for name, holds in OF_A_CALL.items():
            found += (Violation(name, facts.call, detail) for detail in holds(facts))
        for name, fits in OF_TOOLS.items():
            found += (Violation(name, facts.call, detail) for detail in fits(facts, effects))
    for visit in evidence.visits:
        found += (Violation("ended_once", visit.call, detail) for detail in checks_record.ended_once(Facts(visit)))
    found += _between_calls(calls)
    found += _unintended(calls, effects)
    for of_run in OF_A_RUN.values():
        found += of_run(evidence)
    found += (Violation(RESTING, "", detail) for one in evidence.run.resting for detail in restless(one))
    return found


def _between_calls(calls: list[Facts]) -> Iterator[Violation]:
    """No id of one call is in another."""
    counted: Counter[str] = Counter()
    for facts in calls:
        names = {checks_record.name_of(stored.event) for stored in facts.events}
        counted.update(name for name in names if name)
    for name, times in counted.items():
        if times > 1:
            yield Violation("ids_are_unique", "", f"{name} stands in {times} calls")


def _unintended(calls: list[Facts], effects: Effects) -> Iterator[Violation]:
    intended = {intent.key for facts in calls for intent in facts.intents.values()}
    for key in sorted(effects.keys() - intended):
        yield Violation("effects_have_intents", "", f"the effect of {key} was never intended")


def restless(one: Resting) -> Iterator[str]:
    """Queues, rings, tasks, slots and memory are back where they were before the calls."""
    share, amount = SLACK.get(one.figure, (0.0, 0.0))
    if one.after > one.before * (1 + share) + amount:
        yield f"{one.worker}: {one.figure} is {one.after:g}, before the calls it was {one.before:g}"
