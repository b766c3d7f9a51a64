"""A whole call over WebRTC on loopback: events, audio both ways, barge-in, the ends of it."""

import asyncio

from gateway.socket_scene import Server
from gateway.webrtc_scene import Browser


def test_a_caller_connects_and_is_told_its_session() -> None:
    async def scene() -> None:
        async with Server() as server, Browser(server) as browser:
            created = await browser.next()
            browser.send(type="session.update", session={"type": "realtime", "instructions": "Be brief."})
            updated = await browser.until("session.updated")
            await asyncio.sleep(0.5)

        assert created["type"] == "session.created"
        assert updated["session"]["instructions"] == "Be brief."
        print(browser.sound().shape, browser.kinds())

    asyncio.run(scene())
