"""Room in the record's streams: how much of it is taken, what it is limited to, and how a call makes place for others.

A limit that somebody gave a stream stays. A call is forgotten whole, and its line in the index last: what is cut short
is found there and done again.
"""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
from nats.js.client import KV_PRE_TEMPLATE, KV_STREAM_TEMPLATE

from trunkline.proto import subjects
from trunkline.proto.ids import SHARDS, shard_of
from trunkline.record.nats_writes import NatsWrites, backoff
from trunkline.record.replies import Answer
from trunkline.record.store import LimitRefused, ShardRoom, StoreUnavailable
from trunkline.telemetry import logs

log = logs.get(__name__)


class _State(msgspec.Struct, frozen=True):
    bytes: int = 0


class _Config(msgspec.Struct, frozen=True):
    max_bytes: int = -1


class _Error(msgspec.Struct, frozen=True):
    description: str = ""


class _Info(msgspec.Struct):
    """Format: JetStream's STREAM.INFO; error: instead of the rest."""

    config: _Config = _Config()
    state: _State = _State()
    error: _Error | None = None


class _Whole(msgspec.Struct):
    """Of the same, the configuration with what this release doesn't know."""

    config: dict[str, object] = {}
    error: _Error | None = None


_infos = msgspec.json.Decoder(_Info)
_wholes = msgspec.json.Decoder(_Whole)


async def room(writes: NatsWrites, limit_s: float) -> list[ShardRoom]:
    """Of the shards that have a limit, by number. Raises StoreUnavailable."""
    found = await asyncio.gather(*(_info(writes, subjects.stream(shard), limit_s) for shard in range(SHARDS)))
    return [
        ShardRoom(shard, info.state.bytes, info.config.max_bytes)
        for shard, info in enumerate(found)
        if info.config.max_bytes > 0
    ]


async def limit(writes: NatsWrites, names: Sequence[str], max_bytes: int, setting: str, limit_s: float) -> None:
    """Gives a limit to streams that have none, as those of earlier releases. setting: that asks for it. Raises
    LimitRefused, StoreUnavailable."""
    found = await asyncio.gather(*(_info(writes, name, limit_s) for name in names))
    limits = {name: info.config.max_bytes for name, info in zip(names, found, strict=True)}
    without = [name for name, has in limits.items() if has <= 0]
    await asyncio.gather(*(_limit(writes, name, max_bytes, setting, limit_s) for name in without))
    if others := {name: has for name, has in limits.items() if has > 0 and has != max_bytes}:
        wanted = f"nats stream edit {next(iter(others))} --max-bytes={max_bytes}, and so on, changes them"
        log.warning("streams keep the limits that they have", limits=others, setting=max_bytes, hint=wanted)


async def forget(writes: NatsWrites, call: str, limit_s: float) -> None:
    """Raises StoreUnavailable."""
    shard = shard_of(call)
    index = KV_STREAM_TEMPLATE.format(bucket=subjects.INDEX_BUCKET)
    line = KV_PRE_TEMPLATE.format(bucket=subjects.INDEX_BUCKET) + call
    await purge(writes, subjects.stream(shard), (subjects.claims(call), subjects.record(call)), call, limit_s)
    await purge(writes, index, (line,), call, limit_s)


async def purge(writes: NatsWrites, stream: str, which: Iterable[str], what: str, limit_s: float) -> None:
    """Takes all of these subjects away, which needs no room. what: they are. Raises StoreUnavailable."""
    for subject in which:
        request = msgspec.json.encode({"filter": subject})
        for wait_s in backoff(limit_s):
            answer = await _ask(writes, f"$JS.API.STREAM.PURGE.{stream}", request)
            if answer is not None and _infos.decode(answer).error is None:
                break
            await asyncio.sleep(wait_s)
        else:
            raise StoreUnavailable(f"what is kept of {what}", limit_s)


async def _limit(writes: NatsWrites, stream: str, max_bytes: int, setting: str, limit_s: float) -> None:
    """Everything else of its configuration stays as it is."""
    refused = ""
    for wait_s in backoff(limit_s):
        told = await _ask(writes, f"$JS.API.STREAM.INFO.{stream}", b"")
        whole = _wholes.decode(told) if told is not None else None
        if whole is not None and whole.error is None:
            request = msgspec.json.encode(whole.config | {"max_bytes": max_bytes})
            answer = await _ask(writes, f"$JS.API.STREAM.UPDATE.{stream}", request)
            error = _infos.decode(answer).error if answer is not None else _Error(refused)
            if error is None:
                return
            refused = error.description
        await asyncio.sleep(wait_s)
    if refused:
        raise LimitRefused(f"stream {stream} ({setting})", max_bytes, refused)
    raise StoreUnavailable(f"the limit of stream {stream}, {max_bytes} bytes ({setting})", limit_s)


async def _info(writes: NatsWrites, stream: str, limit_s: float) -> _Info:
    for wait_s in backoff(limit_s):
        answer = await _ask(writes, f"$JS.API.STREAM.INFO.{stream}", b"")
        if answer is not None and (info := _infos.decode(answer)).error is None:
            return info
        await asyncio.sleep(wait_s)
    raise StoreUnavailable(f"the state of {stream}", limit_s)


async def _ask(writes: NatsWrites, subject: str, request: bytes) -> bytes | None:
    """The server's answer; None where none came, or nobody is there."""
    told: list[bytes] = []

    def take(answer: Answer) -> bool:
        if not answer.status:
            told.append(answer.data)
        return True

    await writes.replies.ask(subject, request, take, limit_s=writes.ack_limit_s)
    return told[0] if told else None
