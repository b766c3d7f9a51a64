"""`python -m bench.turns [OUT]`: what one turn and one call cost with null engines, and where a turn's time goes.

Prints set-up time, CPU per turn by service, the messages of a turn, and the hops from a commit to its first audio.
CPU is measured without the tap that counts messages: that is one more client of the server.
"""

import asyncio
import base64
import json
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import nats
import numpy as np
import uvloop
from nats.aio.msg import Msg

from support.running_stack import RunningStack
from trunkline.cli.listing import table
from trunkline.cli.load import processes
from trunkline.cli.load.asked import NULL_ENGINES
from trunkline.cli.load.own import REPLY
from trunkline.proto import subjects
from trunkline.proto.audio import SPEECH_RATE_HZ, decode_batch
from trunkline.proto.envelope import decode
from trunkline.proto.errors import Undecodable

ROOT = Path(__file__).parents[2]
NULL_OPTIONS = [f"--engine={seam}={name}" for seam, name in NULL_ENGINES.items()]
BURST_MS, REPLY_MS = 120, 200
SETUPS = 50
HOP_TURNS = 60
CALLS, CALL_TURNS = 10, 40  # of those whose CPU is measured
HELD = 100  # idle calls, whose memory is measured
SETTLE_S = 0.5
TAPPED = (f"{subjects.ROOT}.>", "calls.>", "$KV.>", "_INBOX.>")
REMEMBERED = ("gateway", "agent", "tts", "tool_runner")  # STT's is audio


class Client:
    """One call, by hand, over aiohttp: nothing of Trunkline's is measured along."""

    def __init__(self, session: aiohttp.ClientSession, stack: RunningStack) -> None:
        self.call_id = ""
        self.events: Counter[str] = Counter()
        self._session = session
        self._stack = stack
        tone = 8000 * np.sin(2 * np.pi * 300 * np.arange(BURST_MS * SPEECH_RATE_HZ // 1000) / SPEECH_RATE_HZ)
        self._burst = base64.b64encode(tone.astype("<i2").tobytes()).decode()

    async def dial(self) -> float:
        """Seconds from the connection to the session's first event."""
        address = self._stack.address
        begun_s = time.perf_counter()
        headers = {"Authorization": f"Bearer {address.key}"}
        self._socket = await self._session.ws_connect(address.realtime, headers=headers)
        created = await self._until("session.created")
        setup_s = time.perf_counter() - begun_s
        self.call_id = str(created["session"]["id"])  # type: ignore[index]  # JSON
        audio = {"input": {"turn_detection": None}}
        await self._say(type="session.update", session={"type": "realtime", "audio": audio})
        await self._until("session.updated")
        return setup_s

    async def turn(self) -> tuple[int, float]:
        """A burst and the client's own end of it, and the reply: wall time of the commit, us, and s to first audio."""
        await self._say(type="input_audio_buffer.append", audio=self._burst)
        await self._say(type="input_audio_buffer.commit")
        await self._say(type="response.create")
        committed_us, begun_s = time.time_ns() // 1000, time.perf_counter()
        await self._until("response.output_audio.delta")
        first_s = time.perf_counter() - begun_s
        await self._until("response.done")
        return committed_us, first_s

    async def hang_up(self) -> None:
        await self._socket.close()

    async def _say(self, **event: object) -> None:
        await self._socket.send_str(json.dumps(event))

    async def _until(self, kind: str) -> dict[str, object]:
        while True:
            event: dict[str, object] = msgspec.json.decode(await self._socket.receive_str())
            self.events[str(event["type"])] += 1
            if event["type"] == kind:
                return event
            assert event["type"] != "error", event


class Tap:
    """Everything on the bus, as (wall us, from whom to whom, what), by call."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.of_call: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)

    async def on_message(self, message: Msg) -> None:
        now_us, subject = time.time_ns() // 1000, message.subject
        if not subject.startswith(f"{subjects.ROOT}."):
            self.seen["record: " + ("answer" if subject.startswith("_INBOX") else subject.split(".")[0])] += 1
            return
        _, _, stage, _worker, last = subject.split(".", 4)
        if stage == "beat":
            return
        if last == subjects.AUDIO:
            batch = decode_batch(message.data)
            self._note(f"{batch.sender.split('.')[0]} > {stage}: audio", "audio", now_us)
            return
        try:
            envelope = decode(message.data)
        except Undecodable:
            self.seen["? undecodable"] += 1
            return
        what = f"{envelope.sender.split('.')[0]} > {stage}: {type(envelope.message).__name__}"
        self._note(what, envelope.call, envelope.sent_us)

    def _note(self, what: str, call: str, at_us: int) -> None:
        self.seen[what] += 1
        self.of_call[call].append((at_us, what))


@asynccontextmanager
async def tapped(stack: RunningStack) -> AsyncIterator[Tap]:
    tap = Tap()
    connection = await nats.connect(stack.file.nats_url)
    for subject in TAPPED:
        await connection.subscribe(subject, cb=tap.on_message)
    await connection.flush()
    try:
        yield tap
    finally:
        await connection.close()


async def set_up(stack: RunningStack, session: aiohttp.ClientSession) -> dict[str, float]:
    took_ms = []
    for _ in range(SETUPS):
        client = Client(session, stack)
        took_ms.append(1000 * await client.dial())
        await client.hang_up()
        await asyncio.sleep(0.05)
    figures = _percentiles(took_ms)
    print(f"set-up of {SETUPS} calls, one after another: p50 {figures['p50']} ms, p99 {figures['p99']} ms")
    return figures


async def cpu(stack: RunningStack, session: aiohttp.ClientSession) -> dict[str, float]:
    clients = [Client(session, stack) for _ in range(CALLS)]
    await asyncio.gather(*(client.dial() for client in clients))
    await asyncio.sleep(SETTLE_S)
    before, begun_s = processes.cpu_s(stack.pids()), time.monotonic()
    await asyncio.sleep(2.0)
    after, rest_s = processes.cpu_s(stack.pids()), time.monotonic() - begun_s
    at_rest = {stage: (after[stage] - before[stage]) / rest_s for stage in after}
    before, begun_s = after, time.monotonic()

    async def turns(client: Client) -> None:
        for _ in range(CALL_TURNS):
            await client.turn()

    await asyncio.gather(*map(turns, clients))
    await asyncio.sleep(SETTLE_S)
    after, seconds = processes.cpu_s(stack.pids()), time.monotonic() - begun_s
    done = CALLS * CALL_TURNS
    spent_ms = {stage: 1000 * (after[stage] - before[stage] - at_rest[stage] * seconds) / done for stage in after}
    rows = [[stage, f"{spent:.2f}"] for stage, spent in sorted(spent_ms.items())]
    rows.append(["total", f"{sum(spent_ms.values()):.2f}"])
    print("\n".join(["", *table(["service", "CPU ms per turn, what is spent at rest taken off"], rows)]))
    await asyncio.gather(*(client.hang_up() for client in clients))
    return spent_ms


async def hops(stack: RunningStack, session: aiohttp.ClientSession) -> dict[str, object]:
    async with tapped(stack) as tap:
        client = Client(session, stack)
        await client.dial()
        await asyncio.sleep(SETTLE_S)
        tap.seen.clear()
        client.events.clear()
        turns = []
        for _ in range(HOP_TURNS):
            turns.append(await client.turn())
            await asyncio.sleep(SETTLE_S)
    per_turn = {what: count / HOP_TURNS for what, count in tap.seen.most_common()}
    rows = [[what, f"{count:.2f}"] for what, count in per_turn.items()]
    rows += [[f"to the client: {what}", f"{count / HOP_TURNS:.2f}"] for what, count in client.events.most_common()]
    print("\n".join(["", *table(["message", "per turn"], rows)]))
    took = _after_commit(tap, client.call_id, [at_us for at_us, _ in turns])
    first_ms = _percentiles([1000 * first_s for _, first_s in turns])
    rows = [[what, f"{ms:.2f}"] for what, ms in took.items()] + [["first audio at the client", f"{first_ms['p50']}"]]
    print("\n".join(["", *table(["sent", "ms after the commit, p50"], rows)]))
    print(f"commit to first audio: p50 {first_ms['p50']} ms, p99 {first_ms['p99']} ms")
    return {"messages_per_turn": per_turn, "hops_ms": took, "first_audio_ms": first_ms}


def _after_commit(tap: Tap, call: str, commits_us: list[int]) -> dict[str, float]:
    """The first of each kind after a commit, in order; the median over the turns. A burst leaves just before it."""
    delays: defaultdict[str, list[float]] = defaultdict(list)
    seen = sorted(tap.of_call[call] + tap.of_call["audio"])
    for commit_us, next_us in zip(commits_us, [*commits_us[1:], 1 << 62], strict=True):
        first: dict[str, float] = {}
        for at_us, what in seen:
            if commit_us - 3000 < at_us < next_us - 3000:
                first.setdefault(what, (at_us - commit_us) / 1000)
        for what, delay_ms in first.items():
            delays[what].append(delay_ms)
    medians = {what: float(np.median(values)) for what, values in delays.items() if len(values) > len(commits_us) / 2}
    return dict(sorted(medians.items(), key=lambda found: found[1]))


async def memory(stack: RunningStack, session: aiohttp.ClientSession) -> dict[str, float]:
    before = processes.rss_kb(stack.pids())
    clients = [Client(session, stack) for _ in range(HELD)]
    for client in clients:
        await client.dial()
    await asyncio.sleep(SETTLE_S)
    after = processes.rss_kb(stack.pids())
    per_call = {stage: (after[stage] - before[stage]) / HELD for stage in after}
    rows = [[stage, f"{size_kb:.1f}"] for stage, size_kb in sorted(per_call.items())]
    rows.append(["total", f"{sum(per_call.values()):.1f}"])
    print("\n".join(["", *table(["service", "kB per call held open, without audio"], rows)]))
    await asyncio.gather(*(client.hang_up() for client in clients))
    return per_call


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{rank}": round(float(np.percentile(values, rank)), 2) for rank in (50, 99)}


async def measure(stack: RunningStack) -> dict[str, object]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await set_up(stack, session)  # warms everything
        return {
            "setup_ms": await set_up(stack, session),
            "cpu_ms_per_turn": await cpu(stack, session),
            **await hops(stack, session),
            "kb_per_call": await memory(stack, session),
        }


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="turns-")).absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    script = out / "reply.json"
    script.write_bytes(REPLY)
    environ = {
        "TRUNKLINE_MODEL_SCRIPT": str(script),
        "TRUNKLINE_TONE_SEGMENT_MS": str(REPLY_MS),
        "TRUNKLINE_CAPACITY": "500",
        "TRUNKLINE_LOG_LEVEL": "warning",
    }
    agent = f"{ROOT / 'tests/stack/agents.py'}:quick"
    stack = RunningStack(out / "stack", "--agent", agent, "--workers", "webrtc=0", *NULL_OPTIONS, environ=environ)
    stack.start()
    try:
        figures = uvloop.run(measure(stack))
    finally:
        stack.stop()
    (out / "turns.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
