"""An engine that holds the GIL, in processes of its own: what it does there keeps no event loop waiting.

Rule: `make` is importable and given with what it takes (a function, or a partial of one), since a process of its own
starts from nothing; and an engine that is made loads nothing until it is told to. A process that dies, or hangs,
fails what it was asked, is counted, and is replaced by the next that is asked: one that doesn't come up, only after a
pause.
"""

import multiprocessing
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from prometheus_client import Counter

from trunkline.telemetry import logs

ANSWER_LIMIT_S = 8.0  # less than EngineWatch gives a thread: the process of the engine ends, and not this one
LOAD_LIMIT_S = 120.0
PAUSE_S, PAUSE_LIMIT_S = 1.0, 30.0  # after a start that failed, doubling with each: loading costs a core for seconds
PIPE_LIMIT_S = 2  # for the other end to take a question, or to go on with an answer that it has begun
OK, FAILED = b"\x00", b"\x01"
HEAD_BYTES = 9  # of an answer: which of the two, and the CPU that it took in ns, LE
LOAD = b""  # the first question: make, and load

Answer = Callable[[bytes], bytes]
Make = Callable[[], Answer]

log = logs.get(__name__)
_deaths = Counter("trunkline_worker_engine_deaths_total", "Processes of engines that died or hung, and were replaced")


class EngineFailed(RuntimeError):
    """What the engine raised, in words."""


class EngineDied(RuntimeError):
    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"the process of {name} {how}")


class Apart:
    """One process, one question at a time: whoever asks meanwhile waits for its turn. Called from any thread.

    make: in the process, before its first question; returns what answers.
    """

    def __init__(
        self,
        name: str,
        make: Make,
        *,
        limit_s: float = ANSWER_LIMIT_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._make = make
        self._limit_s = limit_s
        self._now_s = now_s
        self._pause_s = 0.0  # after the last start, if that failed
        self._starts_at_s = 0.0  # not before
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._closed = False
        self.cpu_s = 0.0  # that answers took, all told
        self.asked = 0  # questions that have no answer yet

    @property
    def pauses_s(self) -> float:
        """Until it may be started again; 0 where it may, or runs."""
        return max(0.0, self._starts_at_s - self._now_s())

    def load(self) -> None:
        """Blocks until the process has made its engine. Raises EngineFailed, EngineDied."""
        with self._turn:
            self._start()

    def ask(self, question: bytes) -> bytes:
        """Blocks. Raises EngineFailed, EngineDied."""
        self._count(1)
        try:
            with self._turn:
                if self._process is None or not self._process.is_alive():
                    self._start()
                return self._exchange(question, self._limit_s)
        finally:
            self._count(-1)

    def close(self) -> None:
        """At once, whatever it does; for good."""
        self._closed = True
        self._end()

    def _count(self, more: int) -> None:
        with self._counting:
            self.asked += more

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _start(self) -> None:
        if self._closed:
            raise EngineDied(self._name, "was closed")
        if self._process is not None:  # it died between two questions
            self._lose("ended")
        if self.pauses_s:
            raise EngineDied(self._name, f"didn't come up, and isn't started again for {self.pauses_s:.1f} s")
        try:
            self._launch()
            self._exchange(LOAD, LOAD_LIMIT_S)
        except (EngineDied, EngineFailed):
            self._end()
            self._pause_s = min(max(PAUSE_S, 2.0 * self._pause_s), PAUSE_LIMIT_S)
            self._starts_at_s = self._now_s() + self._pause_s
            raise
        self._pause_s = 0.0

    def _launch(self) -> None:
        """Raises EngineDied where the system has no process, or no descriptors, to give."""
        context = multiprocessing.get_context("spawn")
        try:
            self._pipe, theirs = context.Pipe()
            with theirs:
                process = context.Process(target=_serve, args=(self._make, theirs), name=self._name, daemon=True)
                process.start()
        except OSError as error:
            raise EngineDied(self._name, f"can't be started ({error})") from error
        self._process = process
        _limit(self._pipe)

    def _exchange(self, question: bytes, limit_s: float) -> bytes:
        pipe = self._pipe
        assert pipe is not None, "a process was started"
        try:
            pipe.send_bytes(question)
            if not pipe.poll(limit_s):
                raise self._lose(f"said nothing for {limit_s:g} s")
            told = pipe.recv_bytes()
        except BlockingIOError:
            raise self._lose(f"stopped in the middle for {PIPE_LIMIT_S} s") from None
        except (EOFError, OSError):
            raise self._lose("died") from None
        self.cpu_s += int.from_bytes(told[1:HEAD_BYTES], "little") * 1e-9
        if told[:1] == FAILED:
            raise EngineFailed(told[HEAD_BYTES:].decode(errors="replace"))
        return told[HEAD_BYTES:]

    def _lose(self, how: str) -> EngineDied:
        _deaths.inc()
        log.error("engine lost", engine=self._name, how=how)
        self._end()
        return EngineDied(self._name, how)


class Several:
    """As many processes as questions are to be answered at a time, for questions that know nothing of each other."""

    def __init__(self, name: str, make: Make, count: int) -> None:
        self.each = [Apart(name, make) for _ in range(count)]

    def load(self) -> None:
        for apart in self.each:
            apart.load()

    def least_busy(self) -> Apart:
        """Of those that run, while any does: one that pauses has its answer at once, and would take every question."""
        return min(self.each, key=lambda apart: (apart.pauses_s > 0.0, apart.asked))

    def cpu_s(self) -> float:
        return sum(apart.cpu_s for apart in self.each)

    def close(self) -> None:
        for apart in self.each:
            apart.close()


def _limit(pipe: Connection) -> None:
    """From here on a write or a read that gets nowhere for PIPE_LIMIT_S raises BlockingIOError."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:  # a pipe of two ways is a pair of sockets
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            end.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", PIPE_LIMIT_S, 0))


def _serve(make: Make, pipe: Connection) -> None:
    """main() of the process. It ends when the other end of the pipe is gone; a terminal's Ctrl-C is not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answer: Answer | None = None
    while True:
        try:
            question = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        begun_ns = time.process_time_ns()
        try:
            if answer is None:
                answer = make()
            outcome, said = OK, answer(question) if question != LOAD else b""
        except Exception as error:  # the rim of an engine: it is told, and fails what was asked
            outcome, said = FAILED, f"{type(error).__name__}: {error}".encode(errors="replace")
        took_ns = time.process_time_ns() - begun_ns
        try:
            pipe.send_bytes(outcome + took_ns.to_bytes(HEAD_BYTES - 1, "little") + said)
        except OSError:  # nobody waits any more
            return
