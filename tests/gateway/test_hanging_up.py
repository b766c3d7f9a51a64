"""Ending a call over HTTP, whatever carries it and at whichever gateway it is."""

import asyncio

import pytest

from gateway.owner import Owner
from gateway.past_call import CALL, put
from gateway.scene import settle
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBus
from trunkline.gateway import hanging_up
from trunkline.proto import record
from trunkline.proto.envelope import Envelope
from trunkline.proto.placement import HangUpCall
from trunkline.record.recorder import wall_us


async def order(server: Server, call: str, verb: str = "hangup", key: str = KEY) -> tuple[int, str]:
    """(status, body)."""
    headers = {"Authorization": f"Bearer {key}"}
    async with server.client.post(f"/v1/realtime/calls/{call}/{verb}", headers=headers) as answer:
        return answer.status, await answer.text()


def test_a_call_over_a_websocket_is_hung_up() -> None:
    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            session = (await caller.until("session.created"))["session"]
            answered = await order(server, session["id"])
            code = await caller.closed()
            await settle(0.1)

            assert answered == (200, "")
            assert code == 1000
            assert server.scene.agent.sessions[0].closed == "hung_up"

    run_over_sockets(main())


@pytest.mark.parametrize("call", ["rtc_07_unknown", "nonsense", "rtc_07_%20"])
def test_a_call_that_nobody_knows_is_not_found(call: str) -> None:
    async def main() -> None:
        async with Server() as server:
            status, body = await order(server, call)

        assert status == 404
        assert '"call_not_found"' in body

    run_over_sockets(main())


def test_a_call_that_is_over_is_not_found() -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store, ended="caller_hung_up")
            status, body = await order(server, CALL)

        assert (status, "is over" in body) == (404, True)

    run_over_sockets(main())


def test_nobody_hangs_up_without_a_key() -> None:
    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            session = (await caller.until("session.created"))["session"]
            status, _ = await order(server, session["id"], key="sk-wrong")

            assert status == 401
            assert server.service.load()[0] == 1

    run_over_sockets(main())


def test_a_call_of_another_gateway_is_ended_there() -> None:
    async def main() -> None:
        async with Server() as server:
            owner = await Owner(server, "agent-9").start(record.HubAttached(wall_us(), 1, "gateway-2"))
            other = Exchange(MemoryBus(server.scene.broker), "gateway", "gateway-2")
            got: list[Envelope] = []
            other.on_loose = lambda envelope, headers: got.append(envelope)
            await other.start()

            async def ends() -> None:
                while not got:
                    await settle(0.05)
                await owner.write(record.Ended(wall_us(), "hung_up"))

            ending = asyncio.create_task(ends())
            answered = await order(server, owner.log.view.call)
            await ending
            await other.stop()
            await owner.stop()

            assert answered == (200, "")
            assert [(e.call, e.message) for e in got] == [(owner.log.view.call, HangUpCall())]

    run_over_sockets(main())


def test_a_call_whose_gateway_is_gone_is_said_to_be_there_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hanging_up, "ASKS", 2)

    async def main() -> None:
        async with Server() as server:
            await put(server.store)
            status, body = await order(server, CALL)

        assert status == 503
        assert "overloaded" in body

    run_over_sockets(main())


@pytest.mark.parametrize("verb", ["accept", "reject", "refer"])
def test_what_is_of_sip_is_refused_by_name(verb: str) -> None:
    async def main() -> None:
        async with Server() as server:
            status, body = await order(server, "rtc_07_any", verb)

        assert status == 501
        assert verb in body
        assert "not_supported" in body

    run_over_sockets(main())
