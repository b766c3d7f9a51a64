"""One API key has so many calls and requests at a time at a gateway, whoever calls in its name."""

import asyncio

import pytest

from gateway.hostile_scene import Counted
from gateway.scene import settle
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets
from trunkline.gateway.key_use import KeyRefused, KeyUse
from trunkline.proto.errors import BadSettings


def test_what_is_given_back_can_be_had_again_and_leaves_nothing_behind() -> None:
    use = KeyUse(1)
    with use.held("a"), pytest.raises(KeyRefused), use.held("a"):
        pass
    with use.held("a"):
        use.take("a")  # a call that comes back is never refused, and counts

        assert use["a"] == 2
    use.give_back("a")
    assert (use["a"], use._held) == (0, {})


def test_without_a_limit_or_a_key_nobody_is_refused() -> None:
    for use, tag in ((KeyUse(), "a"), (KeyUse(1), "")):
        for _ in range(100):
            use.require(tag)
            use.take(tag)


def test_a_gateway_with_a_limit_that_nobody_can_mean_does_not_start() -> None:
    async def main() -> None:
        with pytest.raises(BadSettings, match="TRUNKLINE_KEY_CALLS"):
            async with Server(key_calls=-1):
                pass

    run_over_sockets(main())


def test_a_key_that_has_its_calls_is_told_so_and_others_call() -> None:
    async def main() -> None:
        without_key = Counted("key")
        async with Server(key_calls=2) as server:
            async with server.connect():
                async with server.connect():
                    status, body, retry_after = await server.refused()
                    async with server.connect("sk-other"):
                        pass
                await settle(0.5)
                async with server.connect():
                    pass

            assert (status, retry_after) == (429, "5")
            assert body["error"]["code"] == "rate_limit_exceeded"
            assert len(server.scene.stt.sessions) == 4
            assert without_key.times == 0

    run_over_sockets(main())


def test_ephemeral_keys_count_for_the_key_that_made_them() -> None:
    async def main() -> None:
        async with Server(key_calls=1) as server:
            keys = [(await server.mint())[1]["value"] for _ in range(2)]
            _, other = await server.mint(key="sk-other")
            async with server.connect(keys[0]):
                statuses = [(await server.refused(key))[0] for key in (keys[1], KEY)]
                async with server.connect(other["value"]):
                    pass

            assert statuses == [429, 429]

    run_over_sockets(main())


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/speech", "/v1/responses"])
def test_requests_count_and_so_do_transcription_sessions(path: str) -> None:
    async def main() -> None:
        async with Server(key_calls=1) as server:
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
            async with server.transcribe(intent="transcription") as session:
                await session.next()
                async with server.client.post(path, data=b"{}", headers=headers) as answer:
                    refused = answer.status, (await answer.json())["error"]["code"], answer.headers["Retry-After"]
            await asyncio.sleep(0.5)
            async with server.client.post(path, data=b"{}", headers=headers) as answer:
                served = answer.status

            assert refused == (429, "rate_limit_exceeded", "5")
            assert served != 429

    run_over_sockets(main())
