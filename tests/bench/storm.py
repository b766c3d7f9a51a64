"""Clients that find no place: each dials, is refused, waits as long as it is told and dials again.

What is timed is one refusal: from the connection's first byte out to the whole answer. A client that is let in after
all hangs up at once and counts as admitted. How late the dialers themselves are is noted: late ones find everyone slow.
`python -m bench.storm` is a process of them (bench.storming).
"""

import asyncio
import base64
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
import numpy as np
import uvloop

from trunkline.cli.load.frames import Message, Opcode, masked

ADMITTED, REFUSED = 101, (429, 503)
GOODBYE = masked(Message(Opcode.CLOSE, (1000).to_bytes(2, "big")), bytes(4))
ANSWER_LIMIT_S = 10.0
READY = b"ready\n"


class Tried(NamedTuple):
    """at_s: monotonic, when the request went out. status: 0 where no answer came. retry_after_s: as told, else 1."""

    at_s: float
    took_ms: float
    status: int
    retry_after_s: float


class Order(msgspec.Struct, frozen=True):
    """dialers, burst: of this process."""

    url: str
    key: str
    dialers: int
    burst: int


class When(msgspec.Struct, frozen=True):
    """On the monotonic clock, which all processes of a machine share."""

    until_s: float
    burst_at_s: float


class Stormed(msgspec.Struct, frozen=True):
    """late_ms: of each dialer behind when it meant to dial."""

    tried: list[Tried]
    burst: list[Tried]
    late_ms: list[float]


class Storm:
    """dialers: at a time. url: http://host:port."""

    def __init__(self, url: str, key: str, dialers: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._dialers = dialers
        self._request = _request(parts.netloc, key)
        self.tried: list[Tried] = []
        self.burst: list[Tried] = []
        self.late_ms: list[float] = []

    async def run(self, until_s: float, burst: int, burst_at_s: float) -> None:
        """Until then, on the monotonic clock. burst: so many more dial at once, at that time."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._dialers):
                group.create_task(self._dial_on(until_s, number / self._dialers))
            await asyncio.sleep(max(0.0, burst_at_s - time.monotonic()))
            self.burst += await asyncio.gather(*(self._try() for _ in range(burst)))

    async def _dial_on(self, until_s: float, first_s: float) -> None:
        """first_s: of waiting, so that not all begin together."""
        due_s = time.monotonic() + first_s
        while due_s < until_s:
            await asyncio.sleep(due_s - time.monotonic())
            self.late_ms.append(round(1000 * (time.monotonic() - due_s), 2))
            tried = await self._try()
            self.tried.append(tried)
            due_s = time.monotonic() + tried.retry_after_s

    async def _try(self) -> Tried:
        at_s = time.monotonic()
        status, retry_after_s = 0, 1.0
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(ANSWER_LIMIT_S):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                at_s = time.monotonic()
                try:
                    writer.write(self._request)
                    status, retry_after_s = answer_of(await reader.readuntil(b"\r\n\r\n"))
                    took_ms = 1000 * (time.monotonic() - at_s)
                    if status == ADMITTED:
                        writer.write(GOODBYE)
                        await reader.read()  # else its call waits for it to come back
                    return Tried(at_s, took_ms, status, retry_after_s)
                finally:
                    writer.close()
        return Tried(at_s, 1000 * (time.monotonic() - at_s), status, retry_after_s)


def answer_of(head: bytes) -> tuple[int, float]:
    """Status, and the seconds of Retry-After, 1 where there is none."""
    status, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status.split()[1]), float(fields.get("retry-after", "1"))


def quantiles_ms(tried: Sequence[Tried]) -> dict[str, float]:
    """Of those that were refused."""
    took_ms = [one.took_ms for one in tried if one.status in REFUSED]
    if not took_ms:
        return {}
    return {name: round(float(np.percentile(took_ms, q)), 2) for name, q in (("p50", 50), ("p99", 99), ("max", 100))}


def statuses(tried: Sequence[Tried]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(Counter(one.status for one in tried).items())}


def _request(host: str, key: str) -> bytes:
    fields = {
        "Host": host,
        "Authorization": f"Bearer {key}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }
    lines = ["GET /v1/realtime?model=gpt-realtime HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _main() -> None:
    """An Order comes as a line, and When once it is ready; leaves Stormed."""
    loop = asyncio.get_running_loop()
    order = msgspec.json.decode(await loop.run_in_executor(None, sys.stdin.buffer.readline), type=Order)
    storm = Storm(order.url, order.key, order.dialers)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    when = msgspec.json.decode(await loop.run_in_executor(None, sys.stdin.buffer.readline), type=When)
    await storm.run(when.until_s, order.burst, when.burst_at_s)
    sys.stdout.buffer.write(msgspec.json.encode(Stormed(storm.tried, storm.burst, storm.late_ms)))


if __name__ == "__main__":
    uvloop.run(_main())
