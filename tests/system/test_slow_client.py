"""A client that stops reading is cut off, disturbs nobody, and comes back to its call once it reads again."""

import asyncio
from typing import Any

import aiohttp

from support.deaf_client import ITEM, DeafClient
from support.virtual import run_over_sockets
from system.whole import KEY, Whole, hum

ASKED = 400  # times: 20 MB, more than sockets of any system hold


async def ask_for_too_much(deaf: DeafClient) -> None:
    """Until it is cut off."""
    try:
        await deaf.create_item()
        for _ in range(ASKED):
            await deaf.ask()
            await asyncio.sleep(0)
    except ConnectionError:
        pass


def test_who_stops_reading_is_cut_off_disturbs_nobody_and_comes_back_to_the_call() -> None:
    async def main() -> None:
        async with Whole("hello") as stack:
            gateway = stack.gateways[0]
            deaf = DeafClient("127.0.0.1", gateway.port, KEY)
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
            assert ITEM in items

    run_over_sockets(main())


def test_who_was_cut_off_comes_back_to_its_call_though_everything_is_full() -> None:
    async def main() -> None:
        async with Whole("hello", gateways=2, capacity=1) as stack:
            first, second = stack.gateways
            deaf = DeafClient("127.0.0.1", first.port, KEY)
            await deaf.call()
            await ask_for_too_much(deaf)
            created, items = await come_back(second.port, deaf.token)

            assert created["session"]["id"] in deaf.token
            assert ITEM in items

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
        while ITEM not in items:
            items.append((await line.receive_json()).get("item", {}).get("id", ""))
        return created, items
