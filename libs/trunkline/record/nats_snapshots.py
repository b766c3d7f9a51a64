"""Copies of the streams of JetStream as files, and back: what the server itself makes and checks. No stream that holds
anything is ever written over.

On disk a stream is a folder of its name: `backup.json` with its configuration and state, `stream.tar.s2` as the server
sends it. That is the layout of NATS's own command line (`nats stream backup` and `restore`).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.client import KV_STREAM_TEMPLATE
from nats.js.object_store import OBJ_STREAM_TEMPLATE

from trunkline.proto import subjects
from trunkline.proto.errors import TrunklineError
from trunkline.proto.ids import SHARDS

META_FILE = "backup.json"
DATA_FILE = "stream.tar.s2"
CHUNK_BYTES = 256 * 1024  # under the server's max_payload
CHUNK_LIMIT_S = 15.0  # until the next chunk, or the word that one was taken
OPEN_LIMIT_S = 60.0  # a large stream is looked through first, and put in order at the end
NOT_FOUND = 404
_API = "$JS.API.STREAM"
T = TypeVar("T")


class SnapshotFailed(TrunklineError):
    def __init__(self, stream: str, reason: str) -> None:
        super().__init__(f"stream {stream}: {reason}")
        self.stream, self.reason = stream, reason


class StreamState(msgspec.Struct, frozen=True):
    """What a stream holds. Format: nats-server's StreamState."""

    messages: int = 0
    bytes: int = 0
    last_seq: int = 0


class _Problem(msgspec.Struct):
    code: int = 0
    description: str = ""


class _Reply(msgspec.Struct):
    """Format: the answers of nats-server's JetStream API."""

    error: _Problem | None = None
    deliver_subject: str = ""
    state: StreamState = StreamState()


class _Meta(msgspec.Struct):
    """What the server says of a stream when it sends it, and wants to hear to take it back."""

    config: dict[str, object]
    state: msgspec.Raw


def kept_streams() -> list[str]:
    """All that Trunkline keeps anything in, whether they are there or not."""
    buckets = (subjects.INDEX_BUCKET, subjects.VAULT_BUCKET, subjects.RESPONSES_BUCKET, subjects.SESSIONS_BUCKET)
    return [
        *(subjects.stream(shard) for shard in range(SHARDS)),
        *(KV_STREAM_TEMPLATE.format(bucket=bucket) for bucket in buckets),
        OBJ_STREAM_TEMPLATE.format(bucket=subjects.FILES_BUCKET),
    ]


class NatsSnapshots:
    """client: connected; it stays the caller's."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def state(self, stream: str) -> StreamState | None:
        """None where there is no such stream. Raises SnapshotFailed."""
        reply = await self._asked(stream, "INFO", b"", CHUNK_LIMIT_S)
        if reply.error is not None and reply.error.code == NOT_FOUND:
            return None
        return _fine(stream, reply).state

    async def save(self, stream: str, folder: Path) -> StreamState:
        """Into folder, which is made. Services may go on meanwhile. Raises SnapshotFailed, OSError."""
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
        inbox = self._client.new_inbox()
        arriving = await self._client.subscribe(inbox)
        try:
            order = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES}
            data = await self._request(stream, f"{_API}.SNAPSHOT.{stream}", msgspec.json.encode(order), OPEN_LIMIT_S)
            state = _fine(stream, _decoded(stream, data, _Reply)).state
            with await asyncio.to_thread((folder / DATA_FILE).open, "xb") as file:
                async for chunk in self._chunks(stream, arriving):
                    await asyncio.to_thread(file.write, chunk)
        finally:
            await arriving.unsubscribe()
        meta = msgspec.json.format(msgspec.json.encode(_decoded(stream, data, _Meta)))
        await asyncio.to_thread((folder / META_FILE).write_bytes, meta)  # last: without it a folder is no copy
        return state

    async def restore(self, stream: str, folder: Path, *, replicas: int = 0) -> StreamState:
        """Takes the place of an empty stream. replicas: 0 for as many as it had. Raises SnapshotFailed, OSError."""
        meta = _decoded(stream, await asyncio.to_thread((folder / META_FILE).read_bytes), _Meta)
        if replicas:
            meta.config["num_replicas"] = replicas
        await self._make_way(stream)
        order = msgspec.json.encode(meta)
        accepted = _fine(stream, await self._asked(stream, "RESTORE", order, OPEN_LIMIT_S))
        with await asyncio.to_thread((folder / DATA_FILE).open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                answer = await self._request(stream, accepted.deliver_subject, chunk, CHUNK_LIMIT_S)
                if answer:
                    _fine(stream, _decoded(stream, answer, _Reply))
        end = await self._request(stream, accepted.deliver_subject, b"", OPEN_LIMIT_S)
        restored = _fine(stream, _decoded(stream, end, _Reply)).state
        kept = msgspec.json.decode(meta.state, type=StreamState)
        if restored.last_seq != kept.last_seq:
            raise SnapshotFailed(stream, f"ends at {restored.last_seq} where {kept.last_seq} was saved")
        return restored

    async def _make_way(self, stream: str) -> None:
        found = await self.state(stream)
        if found is None:
            return
        if found.messages:
            raise SnapshotFailed(stream, f"it holds {found.messages} messages, and is left as it is")
        _fine(stream, await self._asked(stream, "DELETE", b"", CHUNK_LIMIT_S))

    async def _chunks(self, stream: str, arriving: Subscription) -> AsyncIterator[bytes]:
        """Each is acknowledged once it has been used: the server sends no more than its window ahead of that.

        What comes while a client moves to another server is lost to it, and nobody says so.
        """
        connection = self._client.stats["reconnects"]
        while True:
            try:
                message = await arriving.next_msg(timeout=CHUNK_LIMIT_S)
            except TimeoutError:
                raise SnapshotFailed(stream, f"nothing more came within {CHUNK_LIMIT_S:g} s") from None
            if self._client.stats["reconnects"] != connection:
                raise SnapshotFailed(stream, "the connection was lost meanwhile")
            if not message.data:
                _check_end(stream, message.headers or {})
                return
            yield message.data
            if message.reply:
                await message.respond(b"")

    async def _asked(self, stream: str, verb: str, data: bytes, limit_s: float) -> _Reply:
        return _decoded(stream, await self._request(stream, f"{_API}.{verb}.{stream}", data, limit_s), _Reply)

    async def _request(self, stream: str, subject: str, data: bytes, limit_s: float) -> bytes:
        try:
            return (await self._client.request(subject, data, timeout=limit_s)).data
        except (NatsError, TimeoutError) as error:
            raise SnapshotFailed(stream, f"{subject} was not answered: {error or type(error).__name__}") from error


def _check_end(stream: str, headers: Mapping[str, str]) -> None:
    """The end is an empty message, which tells of what went wrong by its status."""
    status = headers.get("Status", "")
    if status.startswith(("4", "5")):
        raise SnapshotFailed(stream, f"the server gave up: {status} {headers.get('Description', '')}")


def _decoded(stream: str, data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise SnapshotFailed(stream, f"can't be read: {error}") from error


def _fine(stream: str, reply: _Reply) -> _Reply:
    if reply.error is not None:
        raise SnapshotFailed(stream, reply.error.description)
    return reply
