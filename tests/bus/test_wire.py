"""The wire to a NATS server: what it needs of nats-py's private parts, and bytes that come in any pieces."""

import asyncio
import inspect
import subprocess
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from urllib.parse import urlparse

import pytest
import uvloop
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import NoRespondersError

from support.nats_server import NatsServer, running
from trunkline.bus.nats import OUTBOX_MESSAGES, NatsBus
from trunkline.bus.port import PayloadTooLarge, Received
from trunkline.bus.wire import WRITE_LIMIT_BYTES, Wire, _Connection, publication

INBOX = b"tl.v1.stt.w.rtc_1"
OURS = [
    b"MSG %b 7 5\r\nfirst\r\n" % INBOX,
    b"MSG %b 7 tl.v1.gateway.g.unheard-stt-w 6\r\nMSG 7\n\r\n" % INBOX,
    b"HMSG %b 7 23 26\r\nNATS/1.0\r\nName: v:1\r\n\r\nabc\r\n" % INBOX,
    b"HMSG %b 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % INBOX,
    b"MSG %b 7 0\r\n\r\n" % INBOX,
]
THEIRS = [
    b'INFO {"server_id":"s"}\r\n',
    b"PING\r\n",
    b"MSG _INBOX.x 1 4\r\nMSG \r\n",
    b"HMSG _INBOX.x 1 12 14\r\nNATS/1.0\r\n\r\nok\r\n",
    b"PONG\r\n",
]
READ = [
    Received(INBOX.decode(), b"first"),
    Received(INBOX.decode(), b"MSG 7\n", "tl.v1.gateway.g.unheard-stt-w"),
    Received(INBOX.decode(), b"abc", headers={"Name": "v:1"}),
    Received(INBOX.decode(), b"", no_responders=True),
    Received(INBOX.decode(), b""),
]


def facts(received: Received) -> tuple[object, ...]:
    return received.subject, received.data, received.reply, received.headers, received.no_responders


def test_what_is_private_in_nats_py_is_there_as_we_use_it() -> None:
    client = Client()

    assert (client._transport, client._sid, client._pings_outstanding, client._pongs) == (None, 0, 0, [])
    assert "create_task(self._ping_interval())" in inspect.getsource(Client._process_connect_init)
    assert "self._pongs.pop(0)" in inspect.getsource(Client._process_pong)
    assert list(inspect.signature(Client._process_op_err).parameters) == ["self", "e"]
    assert "if not self._transport:" in inspect.getsource(Client._connect_to_server)
    assert "self._sid += 1" in inspect.getsource(Client.subscribe)
    assert "await self._ps.parse(b)" in inspect.getsource(Client._read_loop)
    assert "await self._conn.flush()" in inspect.getsource(Subscription._drain)
    assert "self._subs.items()" in inspect.getsource(Client._attempt_reconnect), "subscribes anew by the same numbers"


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 50, 10_000])
def test_each_message_reaches_whom_it_is_for_whatever_the_pieces(piece_bytes: int) -> None:
    async def main() -> tuple[list[Received], bytes]:
        heard: list[Received] = []
        wire = Wire()
        wire.handlers[b"7"] = heard.append
        connection = _Connection(wire)
        stream = b"".join(ours + theirs for ours, theirs in zip(OURS, THEIRS, strict=True))
        for at in range(0, len(stream), piece_bytes):
            connection.data_received(stream[at : at + piece_bytes])
        return heard, await connection.read()

    heard, theirs = asyncio.run(main())

    assert [facts(received) for received in READ] == [facts(received) for received in heard]
    assert b"".join(THEIRS) == theirs


@pytest.mark.parametrize("bad", [b"MSG x\r\n", b"MSG a 7 many\r\n\r\n", b"MSG \xff 7 1\r\nx\r\n"])
def test_what_is_not_the_protocol_is_left_to_nats_py(bad: bytes) -> None:
    async def main() -> tuple[list[Received], bytes]:
        heard: list[Received] = []
        wire = Wire()
        wire.handlers[b"7"] = heard.append
        connection = _Connection(wire)
        connection.data_received(OURS[0] + bad)
        return heard, await connection.read()

    heard, theirs = asyncio.run(main())

    assert (b"first", bad) == (heard[0].data, theirs)


def test_a_lost_connection_is_an_os_error_to_nats_py_once_all_is_read() -> None:
    async def main() -> bytes:
        connection = _Connection(Wire())
        connection.data_received(b"PING\r\n")
        connection.connection_lost(ValueError("of whatever kind"))
        read = await connection.read()
        assert not connection.at_eof()
        with pytest.raises(OSError, match="of whatever kind"):
            await connection.read()
        return read

    assert asyncio.run(main()) == b"PING\r\n"


@pytest.mark.parametrize("subject", ["", "two words", "line\r\nend", "half \ud83d"])
def test_what_is_no_subject_is_never_written(subject: str) -> None:
    with pytest.raises(ValueError, match="not a subject"):
        publication(subject, b"", "", None)


def test_a_header_is_one_line_and_its_name_one_word() -> None:
    assert publication("x", b"12", "y", {"Reason": " a\r\nPUB b 0 "}) == (
        b"HPUB x y 32 34\r\nNATS/1.0\r\nReason: a  PUB b 0\r\n\r\n12\r\n"
    )
    with pytest.raises(ValueError, match="name of a header"):
        publication("x", b"", "", {"two words": "1"})


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what nats-py knows is no event
        await asyncio.sleep(0.01)


def on_nats(directory: Path, body: Callable[[NatsBus], Awaitable[None]]) -> None:
    async def main() -> None:
        bus = NatsBus()
        await bus.open([server.url], "w")
        await body(bus)
        await bus.close()

    with running(directory) as server:
        asyncio.run(asyncio.wait_for(main(), 20))


def writes_of(bus: NatsBus, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Filled with what the bus writes from here on."""
    written: list[bytes] = []
    write = bus._wire.write

    def note(payload: bytes) -> None:
        written.append(payload)
        write(payload)

    monkeypatch.setattr(bus._wire, "write", note)
    return written


@pytest.mark.nats
def test_a_turn_of_the_loop_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(bus: NatsBus) -> None:
        heard: list[Received] = []
        await bus.subscribe("x", heard.append)
        await bus.flush()
        written = writes_of(bus, monkeypatch)
        for i in range(50):
            bus.publish("x", b"%d" % i)
        assert heard == [], "a handler never runs within a publish"
        await until(lambda: len(heard) == 50)
        assert len([payload for payload in written if payload.startswith(b"PUB")]) == 1

    on_nats(tmp_path, body)


@pytest.mark.nats
def test_what_a_caller_waits_for_is_written_at_once_with_what_waits_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(bus: NatsBus) -> None:
        heard: list[Received] = []
        await bus.subscribe("x", heard.append)
        await bus.flush()
        written = writes_of(bus, monkeypatch)
        bus.hasten()
        bus.publish("x", b"1")
        bus.publish("x", b"2")
        bus.hasten()
        at_once = [payload.count(b"PUB x") for payload in written]
        bus.publish("x", b"3")
        await until(lambda: len(heard) == 3)

        assert at_once == [2]
        assert [payload.count(b"PUB x") for payload in written if b"PUB" in payload] == [2, 1]
        assert [received.data for received in heard] == [b"1", b"2", b"3"]

    on_nats(tmp_path, body)


@pytest.mark.nats
def test_while_the_socket_takes_nothing_the_outbox_waits_and_drops_its_oldest(tmp_path: Path) -> None:
    async def body(bus: NatsBus) -> None:
        heard: list[bytes] = []
        await bus.subscribe("x", lambda received: heard.append(received.data))
        await bus.flush()
        connection = bus._wire._connection
        assert connection is not None
        connection.pause_writing()
        for i in range(OUTBOX_MESSAGES + 10):
            bus.publish("x", b"%d" % i)
        await asyncio.sleep(0.05)
        assert heard == []
        connection.resume_writing()
        await bus.flush()
        await until(lambda: len(heard) == OUTBOX_MESSAGES)
        assert (heard[0], heard[-1]) == (b"10", b"%d" % (OUTBOX_MESSAGES + 9))

    on_nats(tmp_path, body)


@pytest.mark.nats
def test_headers_count_towards_what_the_server_takes_at_most(tmp_path: Path) -> None:
    async def body(bus: NatsBus) -> None:
        heard: list[int] = []
        await bus.subscribe("x", lambda received: heard.append(len(received.data)))
        fits = bus.max_payload - len(b"NATS/1.0\r\na: b\r\n\r\n")
        with pytest.raises(PayloadTooLarge):
            bus.publish("x", bytes(fits + 1), headers={"a": "b"})  # it would cost us the connection, for good
        bus.publish("x", bytes(fits), reply="y", headers={"a": "b"})
        bus.publish("x", bytes(bus.max_payload), reply="y")
        await bus.flush()
        await until(lambda: len(heard) == 2)
        assert heard == [fits, bus.max_payload]

    on_nats(tmp_path, body)


@pytest.mark.nats
def test_a_turn_that_is_larger_than_what_the_socket_may_hold_goes_out_whole(tmp_path: Path) -> None:
    async def body(bus: NatsBus) -> None:
        heard: list[int] = []
        await bus.subscribe("x", lambda received: heard.append(len(received.data)))
        for _ in range(8):
            bus.publish("x", bytes(WRITE_LIMIT_BYTES // 2))
        bus.publish("x", b"last")
        await bus.flush()
        await until(lambda: len(heard) == 9)
        assert heard[-1] == 4

    on_nats(tmp_path, body)


@pytest.mark.nats
def test_a_subscription_outlives_the_server_and_what_was_published_meanwhile_goes_out(tmp_path: Path) -> None:
    async def main() -> None:
        bus, heard = NatsBus(), list[bytes]()
        await bus.open([server.url], "w")
        await bus.subscribe("x", lambda received: heard.append(received.data))
        await bus.flush()
        server.kill()
        await until(lambda: not bus.connected)
        bus.publish("x", b"while it is away")
        server.start()
        await until(lambda: bool(heard))
        bus.publish("x", b"then")
        await until(lambda: len(heard) == 2)
        await bus.close()
        assert heard == [b"while it is away", b"then"]

    with running(tmp_path) as server:
        asyncio.run(asyncio.wait_for(main(), 20))


def test_a_server_that_says_nothing_is_tried_again_without_holding_on_to_it() -> None:
    async def main() -> bytes:
        callers: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue()
        server = await asyncio.start_server(lambda reader, _: callers.put_nowait(reader), "127.0.0.1", 0)
        wire, (host, port) = Wire(), server.sockets[0].getsockname()
        for _ in range(2):
            await wire.connect(urlparse(f"nats://{host}:{port}"), 0, 2)
        rest = await asyncio.wait_for((await callers.get()).read(), 2)
        wire.close()
        server.close()
        return rest

    assert asyncio.run(main()) == b""


@pytest.mark.nats
def test_a_reader_of_nats_py_that_ended_is_noticed_though_messages_come(tmp_path: Path) -> None:
    async def body(bus: NatsBus) -> None:
        heard: list[Received] = []
        await bus.subscribe("x", heard.append)
        await bus.flush()
        given_up = asyncio.ensure_future(bus.client.flush())
        await asyncio.sleep(0)
        given_up.cancel()  # its PONG is more than nats-py's reader takes
        reading = bus.client._reading_task
        assert reading is not None
        await until(reading.done)
        while bus.client._reading_task is reading:
            bus.publish("x", b"the server is well")
            await asyncio.sleep(0.05)
        await until(lambda: bus.connected)
        with pytest.raises(NoRespondersError):
            await bus.client.request("nobody", timeout=2)
        assert heard

    on_nats(tmp_path, body)


@pytest.mark.nats
def test_a_subscription_hears_on_until_the_server_has_answered_behind_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(bus: NatsBus) -> None:
        subscription = await bus.subscribe("x", lambda received: None)
        await bus.flush()
        writes = writes_of(bus, monkeypatch)
        await subscription.stop()
        written = b"".join(writes)
        assert written.rindex(b"PING") > written.index(b"UNSUB")

    on_nats(tmp_path, body)


@pytest.mark.nats
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_over_tls_it_is_the_same(
    run: Callable[[Coroutine[None, None, None]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        bus, heard = NatsBus(), list[bytes]()
        await bus.open([f"tls://localhost:{server.url.rpartition(':')[2]}"], "w")
        await bus.subscribe("x", lambda received: heard.append(received.data))
        bus.publish("x", b"over TLS")
        await bus.flush()
        await until(lambda: bool(heard))
        await bus.close()

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names)
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = NatsServer(tmp_path / "nats", f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}')
    server.start()
    try:
        run(asyncio.wait_for(main(), 10))  # type: ignore[arg-type]
    finally:
        server.stop()
