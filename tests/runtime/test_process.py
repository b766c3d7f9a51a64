"""The life of a service process: nobody places a call before it is ready, and it drains before it goes."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.nats_server import start
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.placement.roster import Roster
from trunkline.runtime.process import Process
from trunkline.runtime.settings import CoreSettings

SETTINGS = CoreSettings(worker_id="stt-test", drain_grace_s=3.0)


class FakeService:
    digest = "d1g35t"
    agents = ("desk", "night")

    def __init__(self) -> None:
        self.log: list[str] = []
        self.loading = asyncio.Event()
        self.may_start = asyncio.Event()

    async def start(self) -> None:
        self.loading.set()
        await self.may_start.wait()
        self.log.append("started")

    def load(self) -> tuple[int, int]:
        return (2, 8)

    async def drain(self, grace_s: float) -> None:
        self.log.append(f"drain {grace_s}")

    async def stop(self) -> None:
        self.log.append("stopped")


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


def test_a_service_beats_only_once_it_is_ready_and_drains_before_it_stops() -> None:
    async def main() -> None:
        broker = MemoryBroker()
        roster = Roster(asyncio.get_running_loop().time)
        watching = MemoryBus(broker)
        await roster.start(watching)
        process, service = Process("stt", SETTINGS, MemoryBus(broker)), FakeService()
        process.context.slow_shards = lambda: (3, 11)
        starting = asyncio.create_task(process.start(service))
        await service.loading.wait()
        assert (await get(process.admin.port, "/readyz"))[0] == 503
        assert (await get(process.admin.port, "/healthz"))[0] == 200
        assert roster.workers() == []

        service.may_start.set()
        await starting
        await asyncio.sleep(0.05)

        (beat,) = roster.workers()
        assert (beat.worker, beat.calls, beat.capacity, beat.digest, beat.draining) == (
            "stt-test",
            2,
            8,
            "d1g35t",
            False,
        )
        assert beat.slow_shards == (3, 11)
        assert (beat.pid, beat.admin_port) == (os.getpid(), process.admin.port)
        assert (await get(beat.admin_port, "/readyz"))[0] == 200
        status, metrics = await get(beat.admin_port, "/metrics")
        assert status == 200
        assert any(f.name.startswith("trunkline_") for f in text_string_to_metric_families(metrics))

        await process.stop()
        await asyncio.sleep(0)
        assert service.log == ["started", "drain 3.0", "stopped"]
        assert roster.workers()[0].draining
        await roster.stop()

    asyncio.run(asyncio.wait_for(main(), 20))


SERVICE = """
from trunkline.runtime.process import run
from trunkline.runtime.settings import CoreSettings
import sys
sys.path.insert(0, {tests!r})
import asyncio
from runtime.test_process import FakeService
def build(context, settings):
    service = FakeService()
    service.may_start.set()
    return service
run("stt", CoreSettings, build)
"""


async def run_service(environ: dict[str, str]) -> "asyncio.subprocess.Process":
    code = SERVICE.format(tests=str(Path(__file__).parents[1]))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env={**os.environ, **environ}, stderr=asyncio.subprocess.PIPE
    )


@pytest.mark.nats
def test_sigterm_drains_and_exits_with_status_0(tmp_path: Path) -> None:
    server = start(tmp_path)

    async def main() -> tuple[int, str]:
        process = await run_service({"TRUNKLINE_NATS_URL": server.url, "TRUNKLINE_DRAIN_GRACE_S": "1"})
        assert process.stderr is not None
        lines: list[str] = []
        while not any('"ready"' in line for line in lines):
            lines.append((await process.stderr.readline()).decode())
            assert lines[-1], lines
        process.send_signal(signal.SIGTERM)
        rest = (await process.stderr.read()).decode()
        return await process.wait(), "".join(lines) + rest

    status, logged = asyncio.run(asyncio.wait_for(main(), 30))
    server.stop()

    assert status == 0, logged
    assert '"draining"' in logged


def test_a_bad_setting_ends_the_start_with_status_2_and_one_line() -> None:
    async def main() -> tuple[int, str]:
        process = await run_service({"TRUNKLINE_CAPACITY": "many"})
        _, logged = await process.communicate()
        return process.returncode or 0, logged.decode()

    status, logged = asyncio.run(asyncio.wait_for(main(), 30))

    assert status == 2
    assert logged.count("\n") == 1
    assert logged.startswith("trunkline-stt: TRUNKLINE_CAPACITY: 'many'")


def test_a_service_that_finds_no_nats_can_be_stopped_and_says_little() -> None:
    async def main() -> tuple[int, str]:
        process = await run_service({"TRUNKLINE_NATS_URL": "nats://127.0.0.1:9"})
        assert process.stderr is not None
        first = (await process.stderr.readline()).decode()
        process.send_signal(signal.SIGTERM)
        rest = (await process.stderr.read()).decode()
        return await process.wait(), first + rest

    status, logged = asyncio.run(asyncio.wait_for(main(), 30))

    assert status == 0, logged
    assert logged.count("nats client") == 1


NOWHERE = {"TRUNKLINE_NATS_URL": "nats://127.0.0.1:9", "TRUNKLINE_ADMIN_PORT": "0"}


async def run_stage(stage: str, environ: dict[str, str]) -> "asyncio.subprocess.Process":
    """The stage's own process."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"trunkline.{stage}.main"),
        env={**os.environ, **NOWHERE, **environ},
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("stage", "environ", "says"),
    [
        (
            "stt",
            {"TRUNKLINE_ENGINE_STT": "ears"},
            "TRUNKLINE_ENGINE_STT: 'ears' is no engine; allowed: digits, moonshine",
        ),
        ("tts", {"TRUNKLINE_ENGINE_TTS": "lips"}, "TRUNKLINE_ENGINE_TTS: unknown engine 'lips'; allowed: piper, tone"),
        ("agent", {}, "TRUNKLINE_AGENT_FILE: is not set"),
        ("agent", {"TRUNKLINE_AGENT_FILE": "gone.py"}, "agent file: gone.py: No such file"),
        ("tool_runner", {"TRUNKLINE_AGENT_FILE": "gone.py"}, "agent file: gone.py: No such file"),
    ],
)
def test_a_bad_engine_or_agent_file_is_said_before_any_nats_is_looked_for(
    stage: str, environ: dict[str, str], says: str
) -> None:
    async def main() -> tuple[int, str]:
        process = await run_stage(stage, environ)
        _, logged = await process.communicate()
        return process.returncode or 0, logged.decode()

    status, logged = asyncio.run(asyncio.wait_for(main(), 30))

    assert status == 2, logged
    assert logged.count("\n") == 1
    assert says in logged


@pytest.mark.nats
@pytest.mark.parametrize("stage", ["stt", "tts", "agent", "tool_runner", "gateway"])
def test_a_service_whose_nats_is_gone_can_still_be_stopped(stage: str, tmp_path: Path) -> None:
    server = start(tmp_path)
    agent_file = tmp_path / "desk.py"
    agent_file.write_text("from trunkline.agents import Agent\ndesk = Agent('desk')\n")

    async def main() -> tuple[int, str]:
        process = await run_stage(
            stage,
            {
                "TRUNKLINE_NATS_URL": server.url,
                "TRUNKLINE_AGENT_FILE": str(agent_file),
                "TRUNKLINE_ENGINE_STT": "scripted",
                "TRUNKLINE_ENGINE_TTS": "tone",
                "TRUNKLINE_PORT": "0",
            },
        )
        assert process.stderr is not None
        lines: list[str] = []
        while not any('"ready"' in line for line in lines):
            lines.append((await process.stderr.readline()).decode())
            assert lines[-1], lines
        server.kill()
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        try:
            rest = (await asyncio.wait_for(process.stderr.read(), 12)).decode()
        except TimeoutError:
            process.kill()
            raise
        return await process.wait(), "".join(lines) + rest

    try:
        status, logged = asyncio.run(main())
    finally:
        server.stop()

    assert status == 0, logged
    assert "Traceback" not in logged
