"""What the package `openai` does with calls from outside of them: ends one, and is told what there isn't."""

from typing import Any

import openai
import pytest

from clients_py.scene import Desk, line, refused
from support.virtual import run_over_sockets
from trunkline.gateway.dialects.webrtc.endpoint import WebrtcEndpoint


def test_a_call_is_hung_up() -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            async with line(desk) as mine:
                await client.realtime.calls.hangup(mine.seen[0].session.id)
                code = await mine.closed()
            view = await desk.the_record()

            assert code == 1000
            assert view.ended

    run_over_sockets(main())


def test_a_call_that_there_is_not_is_not_hung_up() -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            with pytest.raises(openai.NotFoundError) as refusal:
                await client.realtime.calls.hangup("rtc_00_none")

            assert (refusal.value.code, refusal.value.param) == ("call_not_found", "call_id")

    run_over_sockets(main())


@pytest.mark.parametrize("act", ["accept", "reject", "refer"])
def test_what_is_for_telephones_says_that_there_are_none(act: str) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"accept": {"type": "realtime"}, "refer": {"target_uri": "tel:+1"}}.get(act, {})
        async with Desk() as desk, desk.client as client:
            with pytest.raises(openai.InternalServerError) as refusal:
                await getattr(client.realtime.calls, act)("rtc_00_none", **options)

            assert (refusal.value.status_code, refusal.value.code) == (501, "not_supported")

    run_over_sockets(main())


def test_an_offer_that_is_broken_is_refused() -> None:
    async def main() -> None:
        async with Desk(webrtc=WebrtcEndpoint) as desk, desk.client as client:
            with pytest.raises(openai.BadRequestError) as refusal:
                await client.realtime.calls.create(sdp="v=0")

            assert (refusal.value.code, refusal.value.param) == ("invalid_offer", "sdp")

    run_over_sockets(main())


@pytest.mark.parametrize("query", [{"call_id": "rtc_00_none"}, {"intent": "translation"}])
def test_an_address_that_asks_for_another_kind_of_socket_is_refused(query: dict[str, str]) -> None:
    async def main() -> None:
        async with Desk() as desk:
            status, error = await refused(desk, extra_query=query)

            assert (status, error["code"], error["param"]) == (400, "not_supported", *query)

    run_over_sockets(main())
