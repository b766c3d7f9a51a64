"""`make demo`: a stack of its own, one real call through all services, and what came of it as files.

Bounded in time, and the stack is always ended, whatever happens to the call.
"""

import asyncio
import shutil
import signal
import sys
import time
from pathlib import Path

import msgspec

from trunkline.audio import wav
from trunkline.cli import api, line, record_json, stack, timeline
from trunkline.cli.call import converse, finished_record
from trunkline.cli.caller import Caller
from trunkline.cli.errors import CommandFailed, StartFailed
from trunkline.cli.listener import Moment
from trunkline.cli.record_json import CallRecord
from trunkline.cli.report import CallReport, report
from trunkline.cli.stack import Address
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.errors import BadInput

LIMIT_S = 180.0
START_LIMIT_S = 90.0
STOP_LIMIT_S = 60.0
_ROOT = Path(__file__).parents[3]
CALLER_WAVS = tuple(_ROOT / "tests/data/callers" / f"{name}.wav" for name in ("weather_tokyo", "order_status"))
AGENT_FILE = _ROOT / "examples/agents/frontdesk.py"


def main() -> None:
    if len(sys.argv) != 2:
        print("usage: python -m trunkline.cli.demo OUT_DIRECTORY", file=sys.stderr)
        sys.exit(2)
    try:
        out = Path(sys.argv[1]).absolute()
        shutil.rmtree(out, ignore_errors=True)  # of an earlier demo
        out.mkdir(parents=True)
        asyncio.run(_bounded(out))
    except (CommandFailed, BadInput) as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


async def _bounded(out: Path) -> None:
    try:
        async with asyncio.timeout(LIMIT_S):
            await _demo(out)
    except TimeoutError:
        raise CommandFailed(f"not done within {LIMIT_S:g} s; logs: {out / 'run' / 'logs'}") from None


async def _demo(out: Path) -> None:
    lines = [line.read(path) for path in CALLER_WAVS]
    print("starting NATS and five services, loading the speech models …", flush=True)
    began_s = time.monotonic()
    process = await _start(out / "run")
    try:
        address = await _ready(process, out / "run")
        print(f"ready after {time.monotonic() - began_s:.1f} s at {address.base}; calling the front desk", flush=True)
        moments: list[Moment] = []
        caller = await converse(address, lines, tell=lambda moment: _tell(moments, moment))
        record = await finished_record(address, caller.call_id)
        if record is None:
            raise CommandFailed("the gateway has no record of the call")
        said = report(caller.listener, record)
        shown = await api.fetch(address, record_json.path(said.call_id))
    finally:
        await _end(process)
    _write(out, caller, moments, record, said, shown)
    print("\n".join(["", *timeline.conversation(said), "", f"written to {out}: call.json, reply.wav, timeline.txt"]))
    _judge(said)


def _tell(moments: list[Moment], moment: Moment) -> None:
    moments.append(moment)
    print(timeline.moment_line(moment), flush=True)


async def _start(directory: Path) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "trunkline.cli.main", "up", "--dir", str(directory), "--port", "0")
    return await asyncio.create_subprocess_exec(
        *command, "--agent", str(AGENT_FILE), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )


async def _ready(process: asyncio.subprocess.Process, directory: Path) -> Address:
    """Raises StartFailed; what went wrong has been said by `trunkline up` itself."""
    assert process.stdout is not None
    async with asyncio.timeout(START_LIMIT_S):
        async for text in process.stdout:
            if text.startswith(b"ready "):
                found = stack.read(directory)
                assert found is not None
                return Address(found.url, found.key)
    raise StartFailed("the stack", f"trunkline up ended with status {await process.wait()}", directory / "logs")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            status = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CommandFailed(f"the stack didn't end within {STOP_LIMIT_S:g} s") from None
    print(f"stack ended with status {status}", flush=True)


def _write(
    out: Path, caller: Caller, moments: list[Moment], record: CallRecord, said: CallReport, shown: bytes
) -> None:
    (out / "call.json").write_bytes(msgspec.json.format(shown) + b"\n")
    wav.write_file(out / "reply.wav", caller.sound(), SPEECH_RATE_HZ)
    rows = [*timeline.conversation(said), "", *timeline.timeline(moments, record, caller.began_s)]
    (out / "timeline.txt").write_text("\n".join(rows) + "\n")


def _judge(said: CallReport) -> None:
    """The demo fails when the call was no conversation with tools. Raises CommandFailed."""
    for number, turn in enumerate(said.turns, 1):
        if not any(tool.status == "ok" for tool in turn.tools):
            raise CommandFailed(f"turn {number} ({turn.caller_text!r}) got no tool's answer")
        if turn.commentary_audio_s is None or turn.answer_audio_s is None:
            raise CommandFailed(f"turn {number} ({turn.caller_text!r}) was not answered with commentary and answer")


if __name__ == "__main__":
    main()
