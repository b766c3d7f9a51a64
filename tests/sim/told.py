"""One history in words, for who looks for the cause of a violation."""

from sim.run import Outcome
from sim.world import EPOCH_S


def tell(outcome: Outcome) -> str:
    history, evidence = outcome.history, outcome.evidence
    lines = [f"seed {history.seed}: {history.trouble}, {'' if history.repeatable else 'not '}repeatable"]
    lines += [f"  {turn}" for turn in history.turns]
    lines += [f"  {fault}" for fault in (*history.faults, history.vanishing) if fault]
    told: list[tuple[float, str]] = []
    for fault in evidence.run.faults:
        told.append((fault.at_s, f"!! {fault.name}: {fault.worker}, until {fault.until_s - EPOCH_S:.3f}"))
    for effect in evidence.run.effects:
        told.append((effect.at_s, f"-> effect of {effect.key}"))
    for call in evidence.calls:
        for one in call.entries:
            events = ", ".join(str(event) for event in one.entry.events)
            told.append((one.stored_s, f"{one.seq}: epoch {one.entry.epoch}, {one.entry.index}: {events}"))
        told += [(said.ended_s, f"<- said {said.words!r} ({said.kind})") for said in call.account.said]
        told += [(said.answered_s, f"<- {said.words!r} is answered") for said in call.account.said if said.answered_s]
        for piece in call.account.heard:
            told.append((piece.at_s, f"<- heard {piece.item} {piece.segment} {piece.position}+{piece.samples}"))
    lines += [f"{at_s - EPOCH_S:9.4f} {text}" for at_s, text in sorted(told)]
    lines += [f"VIOLATED {one.invariant}: {one.detail}" for one in outcome.violations]
    lines.append(f"{outcome.virtual_s:.1f} s, digest {outcome.digest}")
    return "\n".join(lines)
