"""What a deployment can lose, read back from the NATS servers that keep its records, and said in words.

It looks once, for a bounded time, and stops nothing: what can't be seen is said to be unseen, never assumed to be fine.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from yarl import URL

from trunkline.proto.errors import BadSettings
from trunkline.record.nats_snapshots import kept_streams
from trunkline.telemetry import logs

LOOK_LIMIT_S = 2.0  # a start waits for it; a stream in election doesn't answer sooner
ALWAYS_S = 0.0  # flushed to disk before each acknowledgement
DEFAULT_SYNC_S = 120.0  # nats-server's own sync_interval
SYNC = "TRUNKLINE_NATS_SYNC"
MONITOR = "TRUNKLINE_NATS_MONITOR_URL"
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NOTHING = "nothing"

log = logs.get(__name__)


def sync_s(text: str) -> float | None:
    """`always` is ALWAYS_S; None for an empty text, which leaves it to the servers. Raises BadSettings."""
    if not text:
        return None
    if text == "always":
        return ALWAYS_S
    length = _LENGTH.fullmatch(text)
    value_s = float(length[1]) * _UNITS_S[length[2]] if length else 0.0
    if value_s <= 0:
        raise BadSettings(SYNC, f"{text!r} is no choice of when to flush", "always, or a time such as 500ms, 10s or 2m")
    return value_s


def monitors(text: str) -> list[URL]:
    """text: addresses of the servers' monitoring, comma-separated. Raises BadSettings."""
    urls = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            url = URL(part)
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise BadSettings(MONITOR, f"{part!r} is no address", "http://HOST:PORT of each server, comma-separated")
        urls.append(url)
    return urls


class Seen(NamedTuple):
    """copies: by stream. syncs_s: by monitoring address. silent: streams and addresses that didn't answer in time."""

    copies: Mapping[str, int]
    syncs_s: Mapping[str, float]
    silent: tuple[str, ...]

    @property
    def least_copies(self) -> int:
        """0 where no stream was seen."""
        return min(self.copies.values(), default=0)

    @property
    def slowest_sync_s(self) -> float | None:
        """None where no server was seen."""
        return max(self.syncs_s.values(), default=None)


class Losses(NamedTuple):
    """Of what was acknowledged, in words. A node is lost with its disk; power is cut without it."""

    process_kill: str
    node_loss: str
    power_loss: str


def losses(copies: int, every_s: float | None) -> Losses:
    """copies: 0 for unknown. every_s: between two flushes, ALWAYS_S, or None for unknown."""
    if copies > 1:
        node = f"{_NOTHING}, while more than half of {copies} nodes are left"
    else:
        node = "all that lies on it: there is one copy" if copies else "unknown: no stream answered"
    if every_s == ALWAYS_S:
        return Losses(_NOTHING, node, _NOTHING)
    lost = (
        f"up to {_length(every_s)} of it"
        if every_s
        else f"unknown; by NATS's default up to {_length(DEFAULT_SYNC_S)} of it"
    )
    return Losses(_NOTHING, node, f"{lost}, if all nodes lose power at once" if copies > 1 else lost)


class Durability:
    """client: connected when it tells. replicas, sync: what the settings say, of which a difference is a warning."""

    def __init__(self, client: Client, *, replicas: int, sync: str = "", monitor_url: str = "") -> None:
        """Raises BadSettings."""
        self._client = client
        self._replicas = replicas
        self._sync_s = sync_s(sync)
        self._monitors = monitors(monitor_url)

    async def tell(self) -> None:
        """One line of what can be lost, and a warning for each difference. Never raises for what it can't see."""
        seen = await self._look()
        lost = losses(seen.least_copies, seen.slowest_sync_s)
        log.info(
            "what this deployment can lose of what was acknowledged",
            nats_process_killed=lost.process_kill,
            nats_node_lost=lost.node_loss,
            power_lost=lost.power_loss,
            copies=seen.least_copies or "unknown",
            flushed=_flushed(seen.slowest_sync_s),
        )
        if others := {stream: n for stream, n in seen.copies.items() if n != self._replicas}:
            log.warning(
                "streams have other replicas than TRUNKLINE_RECORD_REPLICAS says", wanted=self._replicas, found=others
            )
        if self._sync_s is not None and (
            otherwise := {url: _flushed(s) for url, s in seen.syncs_s.items() if s != self._sync_s}
        ):
            log.warning(
                f"NATS servers flush otherwise than {SYNC} says", wanted=_flushed(self._sync_s), found=otherwise
            )
        if seen.silent:
            log.warning("no answer about durability", silent=seen.silent, within_s=LOOK_LIMIT_S)

    async def _look(self) -> Seen:
        names = kept_streams()
        timeout = aiohttp.ClientTimeout(total=LOOK_LIMIT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            copies, syncs = await asyncio.gather(
                asyncio.gather(*(self._copies(name) for name in names)),
                asyncio.gather(*(_sync_of(session, url) for url in self._monitors)),
            )
        found = dict(zip(names, copies, strict=True)) | dict(zip(map(str, self._monitors), syncs, strict=True))
        return Seen(
            {name: n for name, n in zip(names, copies, strict=True) if n},
            {str(url): s for url, s in zip(self._monitors, syncs, strict=True) if s is not None},
            tuple(name for name, value in found.items() if value is None),
        )

    async def _copies(self, stream: str) -> int | None:
        """Of the stream; 0 where there is none, None without an answer."""
        try:
            info = await self._client.jetstream(timeout=LOOK_LIMIT_S).stream_info(stream)
        except NotFoundError:
            return 0
        except (NatsError, TimeoutError):
            return None
        return info.config.num_replicas or 1


class _Config(msgspec.Struct):
    """sync_interval: nanoseconds."""

    sync_interval: int = int(DEFAULT_SYNC_S * 1e9)
    sync_always: bool = False


class _Jsz(msgspec.Struct):
    """Source: nats-server's monitoring, /jsz."""

    config: _Config


async def _sync_of(session: aiohttp.ClientSession, monitor: URL) -> float | None:
    """Seconds between two flushes, ALWAYS_S, or None without an answer."""
    try:
        async with session.get(monitor / "jsz") as answer:
            config = msgspec.json.decode(await answer.read(), type=_Jsz).config
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError):
        return None
    return ALWAYS_S if config.sync_always else config.sync_interval / 1e9


def _flushed(every_s: float | None) -> str:
    if every_s is None:
        return f"unknown: {MONITOR} tells where to look"
    return f"every {_length(every_s)}" if every_s else "before each acknowledgement"


def _length(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
