"""Whatever hostile clients do, a call beside them goes on, another begins, and the gateway's memory stays bounded.

One stack for all: real processes, engines that cost nothing. The attackers are a process of their own on the same
machine, so what is late is late by their share of its cores, too: the bounds are of what a caller bears, not of what is
possible.
"""

import asyncio
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from hostile.ordinary import Heard, Ordinary
from support.running_stack import RunningStack
from trunkline.cli.load import agent as null_agent
from trunkline.cli.load.own import REPLY
from trunkline.cli.load.processes import rss_kb

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(600)]

TESTS = Path(__file__).parents[1]
HALF_OPEN = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1_500)  # an attacker's descriptors
SECONDS = 6.0
GAP_LIMIT_S = 0.5  # of silence within a reply
FIRST_AUDIO_LIMIT_S = 2.0
SET_UP_LIMIT_S = 3.0
MEGABYTE_KB = 1_000
LOG_LINES = 500  # that are about no call


class Abuse(NamedTuple):
    """lines: at a time. memory_mb: that the gateway may take on, at most."""

    lines: int
    memory_mb: int = 60


ABUSES = {
    "nothing": Abuse(HALF_OPEN, 120),
    "half_a_request": Abuse(HALF_OPEN, 120),
    "slow_heads": Abuse(2_000),
    "slow_bodies": Abuse(500),
    "silent_calls": Abuse(20),
    "long_heads": Abuse(20),
    "strangers": Abuse(20),
    "oversize": Abuse(10),
    "pings": Abuse(4),
    "fragments": Abuse(4),
    "large_parts": Abuse(40, 500),  # the room for such messages, and what may be held without
    "fast_audio": Abuse(3, 120),
    "deaf_calls": Abuse(10),
    "deaf_requests": Abuse(50),
    "deflated": Abuse(10),
    "bombs": Abuse(10),
    "huge_parts": Abuse(10, 300),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    directory = tmp_path_factory.mktemp("stack")
    (directory / "script.json").write_bytes(REPLY)
    engines = [word for engine in ("stt=scripted", "tts=tone", "model=scripted") for word in ("--engine", engine)]
    agent = f"{null_agent.__file__}:load"
    environ = {"TRUNKLINE_MODEL_SCRIPT": str(directory / "script.json"), "TRUNKLINE_TONE_SEGMENT_MS": "2000"}
    environ["TRUNKLINE_CONNECTION_LIMIT"] = str(HALF_OPEN + 500)
    running = RunningStack(directory / "run", *engines, "--workers", "webrtc=0", "--agent", agent, environ=environ)
    running.start()
    yield running
    assert running.stop() == 0


async def heard_beside(stack: RunningStack, name: str, lines: int) -> tuple[Heard, Heard, dict[str, object]]:
    """What a call heard that was there before, and one that began meanwhile; and what the attackers came to."""
    async with Ordinary(stack.address) as before:
        await before.hear(1.0)
        address = stack.file.url.rpartition("//")[2].rpartition(":")
        command = [sys.executable, "-m", "hostile.attacks", name, address[0], address[2], stack.file.key, str(lines)]
        attackers = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1, cwd=TESTS, limit=1 << 20)
        assert attackers.stdin is not None
        assert attackers.stdout is not None
        try:
            under_way = asyncio.create_task(attackers.stdout.readline())
            at_first = await before.hear(SECONDS)
            assert await asyncio.wait_for(under_way, 30.0) == b"on\n"
            async with Ordinary(stack.address) as later:
                both = await asyncio.gather(before.hear(SECONDS), later.hear(SECONDS))
            attackers.stdin.close()
            told = msgspec.json.decode(await asyncio.wait_for(attackers.stdout.readline(), 30.0))
        finally:
            if attackers.returncode is None:
                attackers.kill()
            await attackers.wait()
    early = Heard(at_first.set_up_s, at_first.first_audio_s + both[0].first_audio_s, at_first.late_s + both[0].late_s)
    return early, both[1], told


@pytest.mark.parametrize("name", ABUSES)
def test_calls_beside_it_go_on(stack: RunningStack, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    abuse, gateway = ABUSES[name], {"gateway": stack.pids()["gateway"]}
    before_kb = rss_kb(gateway)["gateway"]

    before, later, told = asyncio.run(heard_beside(stack, name, abuse.lines))

    grown_mb = (rss_kb(gateway)["gateway"] - before_kb) / MEGABYTE_KB
    with capsys.disabled():
        print(f"\n{name}: {figures(before)}; new call {figures(later)}; +{grown_mb:.0f} MB; opened {told['opened']}")
    assert {"gateway": stack.pids()["gateway"]} == gateway
    assert grown_mb < abuse.memory_mb
    assert later.set_up_s < SET_UP_LIMIT_S
    for heard in (before, later):
        assert len(heard.first_audio_s) >= 2
        assert max(heard.first_audio_s) < FIRST_AUDIO_LIMIT_S
        assert max(heard.late_s) < GAP_LIMIT_S


def figures(heard: Heard) -> str:
    first, late = max(heard.first_audio_s), max(heard.late_s)
    return (
        f"{len(heard.first_audio_s)} turns, set up {heard.set_up_s:.3f} s, first audio {first:.3f} s, gap {late:.3f} s"
    )


def test_the_log_of_all_that_is_short(stack: RunningStack) -> None:
    """Of whatever ran before it here."""
    [log] = stack.directory.rglob("gateway*.log")
    strangers = [line for line in log.read_text().splitlines() if "call_id" not in line]

    assert 0 < len(strangers) < LOG_LINES
