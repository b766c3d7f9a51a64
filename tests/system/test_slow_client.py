"""A client that stops reading is cut off, disturbs nobody, and comes back to its call once it reads again."""

import asyncio
import base64
import json
import socket
from typing import Any

import aiohttp

from gateway.client_frames import frame
from support.virtual import run_over_sockets
from system.whole import KEY, Whole, hum
from trunkline.gateway.frames import FIN, TEXT

ITEM_CHARACTERS = 50_000
ASKED = 400  # times: 20 MB, more than sockets of any system hold


class DeafClient:
    """Speaks, and reads nothing behind the first event."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.socket()
        self.token = ""

    async def call(self) -> None:
        loop = asyncio.get_running_loop()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._socket.setblocking(False)
        await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        head = (
            f"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
        )
        await loop.sock_sendall(self._socket, head.encode())
        heard = b""
        while b"session.created" not in heard:
            heard += await loop.sock_recv(self._socket, 8192)
        self.token = heard.partition(b"Trunkline-Resume-Token: ")[2].partition(b"\r\n")[0].decode()

    async def send(self, **event: object) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, frame(FIN | TEXT, json.dumps(event).encode()))

    def close(self) -> None:
        self._socket.close()


async def ask_for_too_much(deaf: DeafClient) -> None:
    """Until it is cut off."""
    content = [{"type": "input_text", "text": "word " * (ITEM_CHARACTERS // 5)}]
    item = {"id": "item_long", "type": "message", "role": "user", "content": content}
    try:
        await deaf.send(type="conversation.item.create", item=item)
        for _ in range(ASKED):
            await deaf.send(type="conversation.item.retrieve", item_id="item_long")
            await asyncio.sleep(0)
    except ConnectionError:
        pass


def test_who_stops_reading_is_cut_off_disturbs_nobody_and_comes_back_to_the_call() -> None:
    async def main() -> None:
        async with Whole("hello") as stack:
            gateway = stack.gateways[0]
            deaf = DeafClient(gateway.port)
            await deaf.call()
            async with stack.caller() as other:
                await other.greeting()
                asking = asyncio.create_task(ask_for_too_much(deaf))
                turn = await other.say(hum())
                await other.reply(turn)
                await asking
            while gateway.sockets._open:  # noqa: ASYNC110  # nobody tells of it
                await asyncio.sleep(0.01)

            assert turn.items
            assert other.resumed == 0
            assert gateway.load()[0] == 1  # the deaf one's call waits for it
            created, items = await come_back(gateway.port, deaf.token)
            assert created["session"]["id"] in deaf.token
            assert "item_long" in items

    run_over_sockets(main())


async def come_back(port: int, token: str) -> tuple[dict[str, Any], list[str]]:
    """The session, and the items that this client, which reads, is told of."""
    url = f"http://127.0.0.1:{port}/v1/realtime"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, params={"resume_token": token}, headers={"Authorization": f"Bearer {KEY}"}) as line,
    ):
        created = await line.receive_json()
        items: list[str] = []
        while "item_long" not in items:
            items.append((await line.receive_json()).get("item", {}).get("id", ""))
        return created, items
