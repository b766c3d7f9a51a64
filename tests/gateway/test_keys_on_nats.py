"""Two gateways that share nothing but NATS and a secret: a key that one has made opens a call at the other."""

import asyncio
from pathlib import Path

import pytest

from gateway.scene import settle
from gateway.socket_scene import Server
from support.nats_server import NatsServer, running
from trunkline.gateway.ephemeral_keys import KEPT_S
from trunkline.proto.subjects import SESSIONS_BUCKET
from trunkline.record import NatsBucket

BOUND = {"type": "realtime", "model": "nightdesk", "instructions": "Speak of ships only."}


@pytest.mark.nats
def test_a_key_of_one_gateway_opens_a_call_at_another_through_nats(tmp_path: Path) -> None:
    async def main(nats: NatsServer) -> None:
        clients = [await nats.connect() for _ in range(2)]
        here, there = Server(resume_secret="shared"), Server(resume_secret="shared", api_keys="sk-another")
        for server, client in zip((here, there), clients, strict=True):
            server.sessions = NatsBucket(client, SESSIONS_BUCKET, ttl_s=KEPT_S)
        async with here, there:
            status, secret = await here.mint({"session": BOUND})
            async with there.connect(secret["value"]) as caller:
                session = (await caller.until("session.created"))["session"]

                assert status == 200
                assert (session["model"], session["instructions"]) == ("nightdesk", "Speak of ships only.")
            await settle(0.1)
        for client in clients:
            await client.close()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))
