"""The nats-server of `trunkline up` shares what it knows of its clients, and keeps what was there before."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from support.nats_server import NatsServer
from trunkline.cli.embedded_nats import EmbeddedNats

pytestmark = pytest.mark.nats
STREAM = "KEPT"
GRACE_S = 2


@contextmanager
def serving(nats: EmbeddedNats, *command: str) -> Iterator[str]:
    """Runs the job, or the command in its place; the server's URL."""
    process = subprocess.Popen(command or nats.job.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        asyncio.run(nats.answers())
        yield nats.url
    finally:
        process.terminate()
        process.wait()


def before_accounts(nats: EmbeddedNats, directory: Path) -> tuple[str, ...]:
    """The command of a release in which everything was in no account."""
    config = directory / "before.conf"
    lines = ["jetstream {", f'store_dir: "{directory / "nats"}"', "}", f"listen: 127.0.0.1:{nats.port}"]
    config.write_text("\n".join([f"server_name: {nats.node.server}", *lines]))
    return (nats.job.command[0], "-c", str(config))


async def keep(url: str) -> None:
    client = Client()
    await client.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name=STREAM, subjects=["kept.*"])
    await stream.publish("kept.1", b"a record")
    await client.close()


async def kept(url: str) -> bytes | None:
    client = Client()
    await client.connect(url)
    message = await client.jetstream().get_last_msg(STREAM, "kept.1")
    await client.close()
    return message.data


def made(directory: Path) -> EmbeddedNats:
    (directory / "logs").mkdir(exist_ok=True)
    return EmbeddedNats(directory, dict(os.environ))


def test_a_directory_of_a_release_without_accounts_keeps_its_records(tmp_path: Path) -> None:
    first = made(tmp_path)
    with serving(first, *before_accounts(first, tmp_path)) as url:
        asyncio.run(keep(url))

    for _ in range(2):  # and the start after that
        with serving(made(tmp_path)) as url:
            assert asyncio.run(kept(url)) == b"a record"


def test_a_lame_duck_that_is_asked_to_end_gives_its_clients_their_time(tmp_path: Path) -> None:
    """So a pod's preStop may return at once: what Kubernetes sends next cuts nobody off."""
    server = NatsServer(tmp_path, f'lame_duck_grace_period: "{GRACE_S}s"\nlame_duck_duration: "30s"')
    server.start()

    async def until_cut() -> float:
        """Seconds from SIGTERM."""
        loop, cut = asyncio.get_running_loop(), asyncio.Event()
        told = asyncio.Event()
        client = Client()
        await client.connect(server.url, allow_reconnect=False, lame_duck_mode_cb=set_by(told), closed_cb=set_by(cut))
        server.signal(signal.SIGUSR2)
        await told.wait()
        server.signal(signal.SIGTERM)
        asked_s = loop.time()
        await cut.wait()
        return loop.time() - asked_s

    lasted_s = asyncio.run(asyncio.wait_for(until_cut(), 30))
    server.stop()

    assert lasted_s > GRACE_S / 2


def set_by(event: asyncio.Event) -> Callable[[], Coroutine[None, None, None]]:
    async def set_it() -> None:
        event.set()

    return set_it
