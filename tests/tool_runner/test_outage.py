"""A tool whose system is away is left alone for a while, and the model is told; one that is asked wrongly is not."""

import asyncio
import urllib.error
from email.message import Message as Headers

import aiohttp
import pytest

from support.virtual import run_virtual
from tool_runner.desk import NOW_US, Desk, an_order, words
from trunkline.agents import tool
from trunkline.runtime.breaker import Breakers, Rules
from trunkline.tool_runner.outage import is_outage

calls: list[str] = []
RULES = Rules(failures=2, rest_s=10.0)


@tool(timeout_s=1.0)
async def look_up(number: str) -> str:
    """Look up an order."""
    calls.append(number)
    match number:
        case "away":
            raise ConnectionRefusedError(111, "connection refused")
        case "slow":
            await asyncio.sleep(5.0)
        case "wrong":
            raise ValueError("there is no such order")
    return number


async def asked(desk: Desk, *numbers: str) -> list[str]:
    """What the model reads of each."""
    told: list[str] = []
    for number in numbers:
        order = an_order("look_up", f'{{"number": "{number}"}}', n=len(desk.results) + 1)
        desk.send(order)
        told.append((await desk.result(len(desk.results) + 1)).output)
    return told


def desk_of() -> Desk:
    calls.clear()
    loop = asyncio.get_running_loop()
    return Desk([look_up], breakers=Breakers("tool", RULES, loop.time))


@pytest.mark.parametrize("trouble", ["away", "slow"])
def test_a_tool_that_fails_or_hangs_in_a_row_is_not_run_until_it_has_rested(trouble: str) -> None:
    async def scenario() -> None:
        desk = desk_of()
        began_s = asyncio.get_running_loop().time()
        await asked(desk, trouble, trouble)
        took_s = asyncio.get_running_loop().time() - began_s
        told = await asked(desk, "4711", "4711")

        assert calls == 2 * [trouble]
        assert asyncio.get_running_loop().time() - began_s == took_s
        assert all("is left alone for a while" in one for one in told)
        assert {result.status for result in desk.results[2:]} == {"error"}
        await asyncio.sleep(10.0)
        assert await asked(desk, "4711", "4712") == ['"4711"', '"4712"']

    run_virtual(scenario())


def test_a_tool_that_was_left_little_of_its_time_is_not_to_blame_for_running_out_of_it() -> None:
    async def scenario() -> None:
        desk = desk_of()
        for n in (1, 2, 3):
            desk.send(an_order("look_up", '{"number": "slow"}', n=n, deadline_us=NOW_US + 200_000))
            assert (await desk.result(n)).status == "timeout"
        told = await asked(desk, "4711")

        assert calls == [*3 * ["slow"], "4711"]
        assert told == ['"4711"']

    run_virtual(scenario())


def test_arguments_that_are_wrong_again_and_again_stop_nobody() -> None:
    async def scenario() -> None:
        desk = desk_of()
        await asked(desk, *["wrong"] * 5)
        desk.send(an_order("look_up", "{}", n=6))

        assert "don't fit" in words(await desk.result(6))
        assert await asked(desk, "4711") == ['"4711"']

    run_virtual(scenario())


def wrapped(cause: Exception) -> Exception:
    error = RuntimeError("the client failed")
    error.__cause__ = cause
    return error


class Response:
    status_code = 502


class HttpError(Exception):
    response = Response()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (OSError(113, "no route to host"), True),
        (wrapped(ConnectionRefusedError()), True),
        (HttpError(), True),
        (urllib.error.HTTPError("http://shop", 503, "away", Headers(), None), True),
        (aiohttp.ClientResponseError(None, (), status=500), True),  # type: ignore[arg-type]  # only its status is read
        (aiohttp.ClientResponseError(None, (), status=404), False),  # type: ignore[arg-type]
        (FileNotFoundError(2, "no such file"), False),
        (ValueError("no such order"), False),
        (wrapped(KeyError("number")), False),
        (SystemExit(503), False),
    ],
)
def test_what_counts_as_an_outage(error: BaseException, expected: bool) -> None:
    assert is_outage(error) is expected
