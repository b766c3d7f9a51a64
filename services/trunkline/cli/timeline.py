"""A call as text for people: what happened when, and the conversation with its phases. Pure.

Times are seconds on the caller's media clock, from the moment that the call was answered.
"""

from datetime import datetime

from trunkline.cli.listener import Moment
from trunkline.cli.record_json import CallRecord
from trunkline.cli.report import CallReport, TurnReport
from trunkline.proto.audio import SPEECH_RATE_HZ

_WORDS = {
    "greeting_audio": "greeting is heard",
    "speech_end": "caller stops speaking",
    "transcript": "transcript",
    "commentary_audio": "commentary is heard",
    "answer_audio": "answer is heard",
    "item": "agent said",
    "interrupted": "agent is interrupted",
    "error": "error",
}


def moment_line(moment: Moment) -> str:
    return _line(moment.sample / SPEECH_RATE_HZ, _WORDS[moment.kind], moment.text)


def timeline(moments: list[Moment], record: CallRecord, began_s: float) -> list[str]:
    """began_s: wall time of the call's sample 0, by which the record's own times find their place."""
    rows = [(moment.sample / SPEECH_RATE_HZ, _WORDS[moment.kind], moment.text) for moment in moments]
    rows += _tool_rows(record, began_s)
    return [_line(*row) for row in sorted(rows, key=lambda row: row[0])]


def conversation(report: CallReport) -> list[str]:
    lines = [f"call {report.call_id}"]
    if report.greeting:
        lines.append(f"  agent   greeting      {report.greeting}")
    for turn in report.turns:
        lines += _turn_lines(turn)
    return lines


def _turn_lines(turn: TurnReport) -> list[str]:
    lines = [f"  caller                {turn.caller_text}"]
    lines += [f"  agent   commentary    {text}" for text in turn.commentary]
    lines += [
        f"  tool    {tool.status or 'running':<13} {tool.name} {tool.arguments} -> {tool.result}" for tool in turn.tools
    ]
    lines.append(f"  agent   final_answer  {turn.answer}{' (interrupted)' if turn.interrupted else ''}")
    delays = {"first audio": turn.first_audio_s, "commentary": turn.commentary_audio_s, "answer": turn.answer_audio_s}
    heard = ", ".join(f"{name} {delay:.2f} s" for name, delay in delays.items() if delay is not None)
    lines.append(f"          after end of speech: {heard or 'nothing was heard'}")
    return lines


def _tool_rows(record: CallRecord, began_s: float) -> list[tuple[float, str, str]]:
    names = {tool.id: tool.name for tool in record.tools}
    rows = []
    for event in record.events:
        if event["type"] in ("intent", "result"):
            what = "tool starts" if event["type"] == "intent" else "tool ends"
            at_s = datetime.fromisoformat(str(event["at"])).timestamp() - began_s
            detail = event["arguments"] if event["type"] == "intent" else f"{event['status']}: {event['output']}"
            rows.append((at_s, what, f"{names[str(event['tool_call'])]} {detail}"))
    return rows


def _line(at_s: float, what: str, detail: str) -> str:
    return f"{at_s:8.2f} s  {what:<22} {detail}".rstrip()
