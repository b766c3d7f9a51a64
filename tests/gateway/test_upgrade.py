"""From HTTP to a WebSocket and on: what came early is heard, aiohttp lets go, and nobody is forgotten at the end."""

import asyncio
import base64

import pytest

from gateway.client_frames import frame
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets
from trunkline.gateway.frames import FIN, TEXT
from trunkline.gateway.speaking import Speaking

UPGRADE = (
    f"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
).encode()


def test_behind_the_upgrade_nothing_of_the_http_servers_is_left() -> None:
    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            await caller.until("session.created")
            http = server.service._runner.server
            tasks = [repr(task.get_coro()) for task in asyncio.all_tasks()]

            assert http is not None
            assert http.connections == []
            assert not [task for task in tasks if "RequestHandler" in task]

    run_over_sockets(main())


@pytest.mark.parametrize("cut", [1, 20, 90])
def test_what_comes_together_with_the_upgrade_or_in_pieces_is_heard(cut: int) -> None:
    async def main() -> None:
        async with Server() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.service.port)
            event = frame(FIN | TEXT, b'{"type":"response.create","event_id":"evt_first","x":' + b"1" * 100)
            writer.write(UPGRADE + event[:cut])
            await asyncio.wait_for(reader.readuntil(b"session.created"), 5.0)
            writer.write(event[cut:])

            await asyncio.wait_for(reader.readuntil(b"invalid_json"), 5.0)
            writer.close()

    run_over_sockets(main())


def test_a_gateway_that_goes_down_says_goodbye_to_who_is_left() -> None:
    async def main() -> None:
        async with Server() as server, server.transcribe(intent="transcription") as caller:
            await caller.next()
            stopping = asyncio.create_task(server.service.sockets.close())
            code = await caller.closed()
            await stopping

            assert code == 1001

    run_over_sockets(main())


def test_a_call_that_fails_as_its_client_leaves_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(speaking: Speaking) -> None:
        raise RuntimeError("a bug")

    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            await caller.until("session.created")
            monkeypatch.setattr(Speaking, "suspend", fail)
            caller.breaks()
            await asyncio.sleep(0.1)

            assert server.service.load()[0] == 0

    run_over_sockets(main())
