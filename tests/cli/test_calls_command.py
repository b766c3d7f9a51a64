"""`trunkline calls --delete` against a gateway's real HTTP server, in a loop of its own."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway.past_call import put
from gateway.socket_scene import KEY, Server
from trunkline.cli.main import run

OVER, LIVE = "rtc_07_over", "rtc_07_live"
Calls = Callable[..., tuple[int, str, str]]


async def opened() -> Server:
    """With two calls on record, of which one goes on."""
    server = Server()
    await server.__aenter__()
    await put(server.store, OVER, "lost")
    await put(server.store, LIVE)
    return server


@pytest.fixture
def calls(capsys: pytest.CaptureFixture[str]) -> Iterator[Calls]:
    """Runs the command: (exit status, stdout, stderr)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(opened(), loop).result(20.0)

    def command(*arguments: str) -> tuple[int, str, str]:
        url = f"http://127.0.0.1:{server.service.port}"
        status = run(("calls", *arguments, "--url", url, "--key", KEY))
        said = capsys.readouterr()
        return status, said.out, said.err

    yield command
    asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(20.0)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_call_that_is_over_is_deleted(calls: Calls) -> None:
    assert calls("--delete", OVER) == (0, f"deleted {OVER}\n", "")
    assert [line["call_id"] for line in json.loads(calls("--json")[1])] == [LIVE]


def test_a_call_that_goes_on_is_not_deleted(calls: Calls) -> None:
    status, out, err = calls("--delete", LIVE)

    assert (status, out) == (1, "")
    assert "hang up first" in err


def test_what_is_no_call_id_is_refused_with_what_is_allowed(calls: Calls) -> None:
    status, _, err = calls("--delete", "nobody")

    assert status == 2
    assert "no call id" in err
