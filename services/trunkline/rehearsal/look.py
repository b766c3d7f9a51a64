"""From a call's record to what a test sees of it. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from trunkline.agents.testing import GivenVerdict, Message, Reply, ToolUse, Transfer, Waiting
from trunkline.proto import record
from trunkline.proto.record import Event
from trunkline.record import ApprovalView, CallView, ItemView, ToolView

LINE_CHARACTERS = 300


def reply_of(view: CallView, events: Sequence[Event], response: str, now_us: int) -> Reply:
    one = view.responses[response]
    items = [view.items[key] for key in one.items if key in view.items]
    handoffs = [h.event for h in view.handoffs if h.event.response == response]
    said = [item.text for item in view.items.values() if item.role == "user" and item.turn == one.turn]
    return Reply(
        one.turn,
        said[-1] if said and one.turn else "",
        tuple(_message(view, item) for item in items),
        tuple(_use(view.tools[key]) for key in one.tools),
        tuple(_verdict(given) for given in verdicts(view, events)[response]),
        tuple(event.to for event in handoffs),
        tuple(Transfer(t.target, t.summary) for t in view.transfers if t.tool_call in one.tools),
        tuple(waiting_of(a, now_us) for a in view.waiting_approvals() if a.asked.response == response),
        handoffs[-1].to if handoffs else view.speaker,
        one.status,
        one.reason,
        response,
    )


def waiting_of(approval: ApprovalView, now_us: int) -> Waiting:
    a = approval.asked
    return Waiting(a.approval, a.kind, a.name, a.text, a.default, max(0.0, (a.deadline_us - now_us) / 1e6))


def verdicts(view: CallView, events: Sequence[Event]) -> Mapping[str, list[record.VerdictGiven]]:
    """By the response in which they were given; without those on which all agreed."""
    given: defaultdict[str, list[record.VerdictGiven]] = defaultdict(list)
    current = ""
    for event in events:
        if isinstance(event, record.ResponseOpened):
            current = event.response
        elif isinstance(event, record.VerdictGiven) and event.guardrail:
            tool = view.tools.get(event.subject)
            given[tool.response if tool is not None else current].append(event)
    return given


def transcript(call: str, events: Sequence[Event]) -> str:
    """In lines; what was interrupted is marked."""
    view = CallView(call)
    lines: list[str] = []
    for event in events:
        view.apply(event)
        lines.extend(_lines(view, event))
    return "\n".join(lines)


def _message(view: CallView, item: ItemView) -> Message:
    heard = item.truncated.heard_text if item.truncated is not None else item.text
    return Message(item.text, item.phase, item.source, item.agent or view.agent, item.voice, heard)  # type: ignore[arg-type]  # an assistant's


def _use(tool: ToolView) -> ToolUse:
    arguments = _decoded(tool.arguments)
    given = arguments if isinstance(arguments, dict) else {}
    return ToolUse(tool.name, given, tool.status, _decoded(tool.output), tool.arguments, tool.id, tool.runs)


def _verdict(event: record.VerdictGiven) -> GivenVerdict:
    return GivenVerdict(event.point, event.action, event.guardrail, event.reason, event.to)


def _decoded(text: str) -> object:
    """Its own words where it is no JSON."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return text
    return value


def _lines(view: CallView, event: Event) -> Iterator[str]:
    match event:
        case record.CallerSaid(text=text):
            yield f"caller: {text}"
        case record.ItemClosed(item=key) if key in view.items:
            item = view.items[key]
            phase = "" if item.phase == "final_answer" else f" ({item.phase})"
            yield f"{item.agent or view.agent}{phase}: {item.text}"
        case record.ItemTruncated(heard_text=heard):
            yield f"  heard of that: {heard!r}"
        case record.ToolIntended(name=name, arguments=arguments):
            yield f"  calls {name}{_short(arguments)}"
        case record.ToolFinished(tool_call=key, status=status, output=output) if key in view.tools:
            yield f"  {view.tools[key].name}: {status}, {_short(output)}"
        case _:
            yield from _decisions(event)


def _decisions(event: Event) -> Iterator[str]:
    told: Callable[[str], str] = lambda text: f" ({text})" if text else ""  # noqa: E731  # shorter than a function
    match event:
        case record.VerdictGiven(guardrail=guardrail) if guardrail:
            yield f"  {guardrail}: {event.action} at the {event.point}{told(event.reason)}"
        case record.ApprovalAsked(kind=kind, name=name, text=text):
            yield f"  asks a person for {name or kind}: {_short(text)}"
        case record.ApprovalDecided(decision=decision, by=by):
            yield f"  {decision} by {by or 'nobody'}{told(event.text or '')}"
        case record.HandedOff(to=to):
            yield f"  handed off to {to}{told(event.reason)}"
        case record.TransferAsked(target=target, summary=summary):
            yield f"  transfer to {target} asked for{told(summary)}"
        case record.ResponseClosed(status=status, reason=reason) if status != "completed":
            yield f"  the answer is {status}{told(reason)}"
        case record.Ended(reason=reason):
            yield f"ended: {reason}"


def _short(text: str) -> str:
    return text if len(text) <= LINE_CHARACTERS else f"{text[:LINE_CHARACTERS]}… ({len(text)} characters)"
