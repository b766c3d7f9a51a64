"""What must hold between a call's tools and what they did outside. Pure; each check yields what breaks it."""

from collections.abc import Iterator, Mapping, Sequence

from trunkline.cli.chaos.evidence import Effect
from trunkline.cli.chaos.facts import Facts
from trunkline.proto.record import ToolIntended

NOT_RUN = "was not run"  # what a tool desk says of a call that ran nowhere
NEVER_RAN = ("denied",)

Effects = Mapping[str, Sequence[Effect]]  # by key


def intents_have_outcomes(facts: Facts, effects: Effects) -> Iterator[str]:
    """Every result has an intent, every intent one outcome; only `unknown` may become something else later."""
    for tool_call in facts.outcomes:
        if tool_call not in facts.intents:
            yield f"{tool_call} has a result but no intent"
    for tool_call, intent in facts.intents.items():
        outcomes = facts.outcomes.get(tool_call, [])
        if not outcomes:
            yield f"{tool_call} ({intent.name}) has no outcome"
        if any(outcome.status != "unknown" for outcome in outcomes[:-1]):
            yield f"{tool_call} ({intent.name}) has the outcomes {[outcome.status for outcome in outcomes]}"


def at_most_one_effect(facts: Facts, effects: Effects) -> Iterator[str]:
    for intent in facts.intents.values():
        done = [effect for effect in effects.get(intent.key, ()) if not effect.repeatable]
        if len(done) > 1:
            yield f"{intent.tool_call} ({intent.name}) took effect {len(done)} times"


def ok_means_one_effect(facts: Facts, effects: Effects) -> Iterator[str]:
    for intent in facts.intents.values():
        outcomes = facts.outcomes.get(intent.tool_call, [])
        if intent.runs != "runner":
            continue  # what the agent carries out itself stands in the record
        if outcomes and outcomes[-1].status == "ok" and not effects.get(intent.key):
            yield f"{intent.tool_call} ({intent.name}) is ok and took no effect"


def effects_have_intents(facts: Facts, effects: Effects) -> Iterator[str]:
    """An effect comes after its intent is durable. (One whose key no call intended is told by the checker.)"""
    for stored in facts.events:
        if isinstance(stored.event, ToolIntended):
            durable_s = stored.stored_s or stored.event.at_us / 1e6
            for effect in effects.get(stored.event.key, ()):
                if effect.at_s < durable_s:
                    early_ms = 1000 * (durable_s - effect.at_s)
                    yield f"{stored.event.tool_call} took effect {early_ms:.1f} ms before its intent was durable"
                if effect.arguments and effect.arguments != stored.event.arguments:
                    yield f"{stored.event.tool_call} ran with {effect.arguments}, not with {stored.event.arguments}"


def not_run_means_no_effect(facts: Facts, effects: Effects) -> Iterator[str]:
    for intent in facts.intents.values():
        outcomes = facts.outcomes.get(intent.tool_call, [])
        if not outcomes or not effects.get(intent.key):
            continue
        last = outcomes[-1]
        if last.status in NEVER_RAN or (last.status in ("error", "cancelled") and NOT_RUN in last.output):
            yield f"{intent.tool_call} ({intent.name}) is {last.status}: {last.output!r}, and took effect"


def effects_have_claims(facts: Facts, effects: Effects) -> Iterator[str]:
    """A tool runs only under its claim; a void claim lets nobody run it."""
    if facts.claims is None:
        return
    standing = {claimed.key for claimed in facts.claims if not claimed.claim.void}
    for intent in facts.intents.values():
        if effects.get(intent.key) and intent.key not in standing:
            yield f"{intent.tool_call} ({intent.name}) took effect without a claim"
