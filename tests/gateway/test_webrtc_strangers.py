"""What comes in at a call's sockets from others than its caller, or from a caller that is none."""

import asyncio
import socket
from struct import pack

import pytest
from aioice.candidate import Candidate
from aioice.ice import Connection

from gateway.webrtc_scene import Browser, RtcServer
from trunkline.gateway.dialects.webrtc import gathering
from trunkline.gateway.dialects.webrtc.gathering import SOURCES, WAITING, Door

pytestmark = pytest.mark.programs  # real sockets, in real time

CALLER, STRANGER = ("192.0.2.1", 4_000), ("192.0.2.2", 4_000)
COOKIE = 0x2112A442


def source(host: str, port: int) -> Candidate:
    """Of one who has shown the password."""
    return Candidate("f", 1, "udp", 1, host, port, "prflx")


@pytest.mark.programs
@pytest.mark.parametrize("datagram", [b"", b"\x17", b"\x80\x6f" + bytes(40), b"\x16\xfe\xfd" + bytes(40)])
def test_a_call_goes_on_whatever_a_stranger_sends_to_its_port(datagram: bytes) -> None:
    async def main() -> None:
        async with RtcServer() as server, Browser(server) as browser:
            await browser.until("session.created")
            answer = browser.pc.remoteDescription.sdp
            candidate = next(one for one in answer.splitlines() if one.startswith("a=candidate:")).split()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for _ in range(20):
                    stranger.sendto(datagram, (candidate[4], int(candidate[5])))
                    await asyncio.sleep(0.01)
            browser.send(type="session.update", session={"type": "realtime", "instructions": "Be brief."})

            assert await browser.until("session.updated")

    asyncio.run(main())


def test_nothing_is_kept_of_what_strangers_send_and_little_of_what_nobody_reads() -> None:
    async def main() -> None:
        connection = Connection(ice_controlling=False)
        connection._remote_candidates = [source(*CALLER)]
        door = Door(connection)
        for _ in range(2 * WAITING):
            door.datagram_received(b"\x80" + bytes(100), STRANGER)
        from_strangers = connection._queue.qsize()
        for _ in range(2 * WAITING):
            door.datagram_received(b"\x80" + bytes(100), CALLER)

        assert (from_strangers, connection._queue.qsize()) == (0, WAITING)

    asyncio.run(main())


def test_checks_from_ever_more_addresses_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[tuple[str, int]] = []
    monkeypatch.setattr(
        gathering.Connection, "request_received", lambda self, message, addr, door: checked.append(addr)
    )

    async def main() -> None:
        connection = Connection(ice_controlling=False)
        connection._remote_candidates = [source(CALLER[0], port) for port in range(4_000, 4_000 + SOURCES)]
        door = Door(connection)
        for addr in (STRANGER, CALLER):
            door.datagram_received(pack("!HHI12s", 1, 0, COOKIE, bytes(12)), addr)

        assert checked == [CALLER]

    asyncio.run(main())


@pytest.mark.parametrize("method", [1, 3])
def test_a_check_without_the_password_is_not_answered(method: int) -> None:
    sent: list[bytes] = []

    class Transport:
        def sendto(self, data: bytes, addr: tuple[str, int]) -> None:
            sent.append(data)

    async def main() -> None:
        door = Door(Connection(ice_controlling=False))
        door.connection_made(Transport())  # type: ignore[arg-type]  # of which this is all that is used
        door.datagram_received(pack("!HHI12s", method, 0, COOKIE, bytes(12)), STRANGER)

        assert sent == []

    asyncio.run(main())


def test_a_check_with_an_attribute_that_is_cut_short_raises_nothing() -> None:
    async def main() -> None:
        priority = pack("!HHB3x", 0x0024, 1, 7)
        connection = Connection(ice_controlling=False)
        Door(connection).datagram_received(pack("!HHI12s", 1, len(priority), COOKIE, bytes(12)) + priority, STRANGER)

        assert connection._remote_candidates == []

    asyncio.run(main())


@pytest.mark.programs
def test_a_message_that_never_ends_ends_the_call() -> None:
    async def main() -> None:
        async with RtcServer() as server, Browser(server) as browser:
            await browser.until("session.created")
            browser.pc.sctp._remote_max_message_size = 0  # it takes no notice of what it was told
            browser.channel.send("x" * 3_000_000)
            await asyncio.wait_for(browser.closed.wait(), 10.0)

            left = len(browser.pc.sctp._sent_queue) + len(browser.pc.sctp._outbound_queue)

            assert (len(server.service._calls), left > 0) == (0, True)

    asyncio.run(main())
