"""What `trunkline call --json` says of a call: what the caller heard, joined with the tools of its record. Pure."""

import msgspec

from trunkline.cli.listener import HeardTurn, Listener, first_after
from trunkline.cli.record_json import CallRecord
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.response import Phase


class ToolReport(msgspec.Struct, frozen=True):
    name: str
    arguments: object
    status: str | None
    result: object


class TurnReport(msgspec.Struct, frozen=True):
    """Seconds from the last voiced sample of the WAV to the first audio, null where none came.

    first_audio_s: of any kind; commentary_audio_s, answer_audio_s: of the first item of that phase.
    """

    caller_text: str
    commentary: list[str]
    answer: str
    tools: list[ToolReport]
    first_audio_s: float | None
    commentary_audio_s: float | None
    answer_audio_s: float | None
    interrupted: bool


class CallReport(msgspec.Struct, frozen=True):
    """greeting: what the agent said before the first turn. resumed: how often another gateway took the call up."""

    call_id: str
    turns: list[TurnReport]
    greeting: str = ""
    resumed: int = 0


def report(listener: Listener, record: CallRecord | None, resumed: int = 0) -> CallReport:
    greeting, *turns = listener.turns
    spoken = " ".join(item.text.strip() for item in greeting.items)
    return CallReport(listener.call_id, [_turn(turn, record) for turn in turns], spoken, resumed)


def _turn(turn: HeardTurn, record: CallRecord | None) -> TurnReport:
    texts = {phase: [item.text.strip() for item in turn.items if _phase(item.phase) == phase] for phase in _PHASES}
    return TurnReport(
        caller_text=" ".join(filter(None, (text.strip() for text in turn.transcripts.values()))),
        commentary=texts["commentary"],
        answer=" ".join(texts["final_answer"]),
        tools=_tools(turn, record) if record else [],
        first_audio_s=_delay_s(turn, None),
        commentary_audio_s=_delay_s(turn, "commentary"),
        answer_audio_s=_delay_s(turn, "final_answer"),
        interrupted=turn.interrupted,
    )


_PHASES: tuple[Phase, Phase] = ("commentary", "final_answer")


def _phase(phase: Phase | None) -> Phase:
    """An item whose phase never settled was the last thing said: an answer."""
    return phase or "final_answer"


def _delay_s(turn: HeardTurn, phase: Phase | None) -> float | None:
    first = first_after(turn.items, turn.speech_end, phase)
    return None if first is None else round((first - turn.speech_end) / SPEECH_RATE_HZ, 3)


def _tools(turn: HeardTurn, record: CallRecord) -> list[ToolReport]:
    mine = (tool for tool in record.tools if tool.response in turn.responses)
    return [ToolReport(tool.name, tool.arguments, tool.status, tool.result) for tool in mine]
