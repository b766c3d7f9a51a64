"""A bug that meets a call between its placing and its client ends that call: nobody else knows of it."""

import pytest

from gateway.past_call import CALL, put
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets
from trunkline.gateway.dialects.realtime import endpoint, opening
from trunkline.gateway.resume_token import ResumeTokens


def fails(*given: object, **named: object) -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("where", "what"),
    [(opening, "new_session"), (opening, "wishes"), (ResumeTokens, "issue")],
    ids=["session", "wishes", "token"],
)
def test_a_call_whose_session_meets_a_bug_is_over_and_its_caller_told(
    where: object, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, what, fails)

    async def main() -> None:
        async with Server() as server:
            status, body, _ = await server.refused()

            assert (status, body["error"]["code"]) == (500, "server_error")
            assert endings(server) == ["failed: RuntimeError"]

    run_over_sockets(main())


@pytest.mark.parametrize("what", ["Peer", "Connection"])
def test_a_call_whose_socket_meets_a_bug_is_over(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, what, fails)

    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            await caller.socket.receive()

            assert caller.socket.closed
            assert endings(server) == ["failed: RuntimeError"]

    run_over_sockets(main())


@pytest.mark.parametrize("what", ["Peer", "Connection"])
def test_a_call_that_is_taken_up_and_meets_a_bug_is_over(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, what, fails)

    async def main() -> None:
        async with Server() as server:
            await put(server.store)
            async with server.connect(token=ResumeTokens("", [KEY, "sk-other"]).issue(CALL)) as caller:
                await caller.socket.receive()

            assert caller.socket.closed
            assert endings(server) == ["failed: RuntimeError"]

    run_over_sockets(main())


def endings(server: Server) -> list[str]:
    """As the agents were told; no call is left."""
    assert len(server.service._calls) == 0
    return [session.closed for session in server.scene.agent.sessions]
