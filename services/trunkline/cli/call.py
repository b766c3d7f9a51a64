"""`trunkline call`: plays WAV files to an agent, one turn each, and tells what came back."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from trunkline.audio import wav
from trunkline.cli import line, options, record_json, stack, timeline
from trunkline.cli.caller import Caller
from trunkline.cli.errors import CommandFailed
from trunkline.cli.line import Line
from trunkline.cli.listener import Moment
from trunkline.cli.record_json import CallRecord
from trunkline.cli.report import report
from trunkline.cli.stack import Address
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.errors import BadInput

RECORD_LIMIT_S = 5.0  # for the record's end to be written after hanging up
PARTING_S = 0.5  # between the last word and hanging up, or the gateway can't know that it was heard
_RECORD_POLL_S = 0.1


def call(parsed: argparse.Namespace) -> int:
    lines = [line.read(path) for path in parsed.wav]
    barge_in_s = options.seconds("--barge-in", parsed.barge_in) if parsed.barge_in else None
    out = _writable(parsed.out)
    address = stack.find(parsed)
    tell = _ignore if parsed.json else _print_moment
    binary = parsed.binary
    caller = asyncio.run(converse(address, lines, agent=parsed.agent, tell=tell, barge_in_s=barge_in_s, binary=binary))
    record = asyncio.run(finished_record(address, caller.call_id))
    if out is not None:
        wav.write_file(out, caller.sound(), SPEECH_RATE_HZ)
    said = report(caller.listener, record, caller.resumed)
    if parsed.json:
        print(msgspec.json.format(msgspec.json.encode(said)).decode())
    else:
        print("\n".join(timeline.conversation(said)))
    return 0


async def converse(
    address: Address,
    lines: Sequence[Line],
    *,
    agent: str = "",
    tell: Callable[[Moment], None],
    barge_in_s: float | None = None,
    binary: bool = False,
) -> Caller:
    """A whole call: greeting, then line and reply by turns; the caller that it returns has hung up.

    barge_in_s: say the next line when the reply has been heard for so long, instead of at its end.
    Raises NoReply, CallLost, GatewaySilent, Refused.
    """
    async with Caller(address, agent=agent, tell=tell, binary=binary) as caller:
        await caller.greeting()
        for number, said in enumerate(lines, 1):
            if caller.hung_up_on:
                print(f"trunkline: the agent hung up before line {number} of {len(lines)}", file=sys.stderr)
                break
            turn = await caller.say(said)
            if barge_in_s is not None and number < len(lines):
                await caller.reply_heard(turn, barge_in_s)
            else:
                await caller.reply(turn)
        await asyncio.sleep(PARTING_S)
    return caller


async def finished_record(address: Address, call_id: str) -> CallRecord | None:
    """The record once it has its end; as it stands when that takes too long; None when the gateway won't tell."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + RECORD_LIMIT_S
    record: CallRecord | None = None
    while loop.time() < until_s and not (record and record.ended):
        try:
            record = await record_json.fetch(address, call_id)
        except CommandFailed as error:
            print(f"trunkline: no record of the call: {error}", file=sys.stderr)
            return None
        if not record.ended:
            await asyncio.sleep(_RECORD_POLL_S)
    return record


def _writable(out: str) -> Path | None:
    if not out:
        return None
    path = Path(out)
    if not path.parent.is_dir() or path.is_dir():
        raise BadInput("--out", f"{out} can't be written", "a file in an existing directory")
    return path


def _ignore(moment: Moment) -> None:
    pass


def _print_moment(moment: Moment) -> None:
    print(timeline.moment_line(moment), flush=True)
