"""Whatever a tool server does over standard input and output, each call has its outcome, honestly and in time."""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tool_runner.desk import words
from tool_servers.shop import CONNECTING, PATIENCE_S, Shop, run_real, strange
from trunkline.proto.errors import BadInput
from trunkline.tool_runner.servers.toolset import Toolset

pytestmark = pytest.mark.programs

SEARCH, REFUND = "orders_search", "orders_refund"


def pids(place: Path, name: str) -> list[int]:
    return [int(line) for line in (place / name).read_text().split()]


def alive(pid: int) -> bool:
    """A zombie is dead: its parent may be anybody by then."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(pid: int) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while alive(pid):
        assert time.monotonic() < until_s
        await asyncio.sleep(0.01)


def test_a_server_that_hangs_in_its_first_word_costs_its_tools_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("hangs_in_initialize", tmp_path, connect_s=0.5)) as shop:
            told = await shop.described()
            result = await shop.call(SEARCH, "pin", seconds=1)

            assert told.problem == "it didn't say within 0.5 s what tools it has"
            assert result.status == "error"
            assert words(result).startswith("orders_search was not run: the tool server orders is away (")

    run_real(scenario())


def test_a_call_that_hangs_is_given_up_in_time_and_says_what_is_not_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("hangs_in_call", tmp_path, timeout_s=0.5)) as shop:
            pins = await shop.pins()
            result = await shop.call(REFUND, pins[REFUND])

            assert result.status == "timeout"
            assert words(result) == (
                "orders_refund did not finish within 0.5 seconds; whether it took effect is not known."
            )
            assert result.elapsed_ms < 5_000

    run_real(scenario())


def test_of_a_call_in_which_the_server_dies_the_outcome_is_unknown_and_the_next_call_finds_a_new_one(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with Shop(strange("dies_once", tmp_path, read_only=["search"])) as shop:
            pins = await shop.pins()
            cut = await shop.call(REFUND, pins[REFUND])
            again = await shop.call(REFUND, pins[REFUND])

            assert (cut.status, words(cut)) == (
                "unknown",
                "orders_refund was cut off; whether it took effect is not known.",
            )
            assert again.status == "ok"
            assert len(pids(tmp_path, "started")) == 2

    run_real(scenario())


def test_what_a_dying_server_leaves_of_a_harmless_tool_may_be_run_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("dies_once", tmp_path, read_only=["search"])) as shop:
            pins = await shop.pins()
            cut = await shop.call(SEARCH, pins[SEARCH])

            assert shop.toolset.tools[SEARCH].retry
            assert (cut.status, words(cut)) == ("unknown", "orders_search was cut off.")

    run_real(scenario())


def test_garbage_is_logged_within_bounds_and_without_secrets_and_calls_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        environ = dict(os.environ) | {"SHOP_TOKEN": "hush-hush"}
        async with Shop(strange("garbage", tmp_path, env={"TOKEN": "$SHOP_TOKEN"}), environ) as shop:
            pins = await shop.pins()
            result = await shop.call(SEARCH, pins[SEARCH], '{"order":"1234"}')

            assert (result.status, json.loads(result.output)) == ("ok", 'search {"order": "1234"}')

    with caplog.at_level(logging.INFO):
        run_real(scenario())
    said = [r.facts for r in caplog.records if r.getMessage() == "tool server said"]  # type: ignore[attr-defined]
    assert said[0]["line"] == "Welcome to my server!"
    assert max(len(one["line"]) for one in said) == 300
    assert [one["line"] for one in said if one["kind"] == "error output"] == ["something is odd: …"] * 20
    assert not [r for r in caplog.records if "hush-hush" in str(vars(r))]


@pytest.mark.parametrize(
    ("wrong", "status", "output"),
    [
        ("pictures", "ok", "Two shirts\n[image: image/png, not shown]\n[link: invoice]"),
        ("structured", "ok", {"count": 2}),
        ("error", "error", "orders_search failed: No such order; allowed: four digits."),
        ("shapeless", "error", "orders_search ran, but its answer is none to a tool call."),
        ("structured_lie", "error", "orders_search ran, but 'count' is no integer."),
        ("large", "error", "orders_search ran, but its result of 500004 bytes is over the limit of 262144 bytes"),
        ("huge", "error", "orders_search ran, but the answer is over the limit of 1048576 bytes."),
    ],
)
def test_what_a_server_answers_is_read_as_far_as_it_is_one(
    wrong: str, status: str, output: object, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with Shop(strange(wrong, tmp_path)) as shop:
            pins = await shop.pins()
            result = await shop.call(SEARCH, pins[SEARCH])

            assert (result.status, json.loads(result.output)) == (status, output)

    run_real(scenario())


def test_fifty_megabytes_in_one_line_do_not_stop_the_loop(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        late_s: list[float] = []

        async def watch() -> None:
            while True:
                due_s = loop.time() + 0.01
                await asyncio.sleep(0.01)
                late_s.append(loop.time() - due_s)

        async with Shop(strange("huge", tmp_path)) as shop:
            pins = await shop.pins()
            watching = asyncio.create_task(watch())
            result = await shop.call(SEARCH, pins[SEARCH])
            watching.cancel()

            assert result.status == "error"
            assert max(late_s) < 1.0  # parsed, they would; a busy machine is late, too

    run_real(scenario())


@pytest.mark.parametrize("wrong", ["changes", "changes_dying"])
def test_a_tool_that_is_described_in_another_way_is_refused_until_the_model_is_told(wrong: str, tmp_path: Path) -> None:
    def counted() -> tuple[float, float]:
        changes = REGISTRY.get_sample_value("trunkline_tool_runner_server_changes_total", {"server": "orders"})
        refused = REGISTRY.get_sample_value("trunkline_tool_runner_pin_refusals_total", {"tool": SEARCH})
        return changes or 0.0, refused or 0.0

    async def scenario() -> None:
        async with Shop(strange(wrong, tmp_path)) as shop:
            before = counted()
            pins = await shop.pins()
            await shop.call(SEARCH, pins[SEARCH])
            now = await shop.described_as(lambda told: [t for t in told.tools if "card number" in t.description])
            refused = await shop.call(SEARCH, pins[SEARCH])
            called = len(pids(tmp_path, "called"))
            new_pins = await shop.pins()
            await shop.call(SEARCH, new_pins[SEARCH])

            assert [tool.name for tool in now.tools] == [SEARCH, REFUND]
            assert (refused.status, words(refused)) == (
                "error",
                "orders_search was not run: its server describes it in another way than before.",
            )
            assert called == 1
            assert len(pids(tmp_path, "called")) == 2
            assert new_pins[REFUND] == pins[REFUND]
            assert tuple(after - b for after, b in zip(counted(), before, strict=True)) == (1, 1)

    run_real(scenario())


def test_an_order_without_a_pin_is_not_run(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("fine", tmp_path)) as shop:
            await shop.described()
            result = await shop.call(SEARCH, "")

            said = "orders_search was not run: its agent doesn't know yet what its server says of it."
            assert (result.status, words(result)) == ("error", said)
            assert not (tmp_path / "called").exists()

    run_real(scenario())


@pytest.mark.parametrize(
    ("wrong", "tools"),
    [
        ("thousands", [SEARCH]),
        ("endless", [SEARCH, REFUND]),
        ("twins", [REFUND]),
        ("schemas", [SEARCH]),
        ("invisible", [SEARCH]),
    ],
)
def test_of_a_strange_list_that_is_described_what_can_be_told(wrong: str, tools: list[str], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange(wrong, tmp_path)) as shop:
            told = await shop.described()

            assert ([tool.name for tool in told.tools], told.problem) == (tools, "")

    run_real(scenario())


def test_a_description_has_an_end_and_nothing_in_it_that_a_person_would_not_see(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("invisible", tmp_path)) as shop:
            (tool,) = (await shop.described()).tools

            assert tool.description.startswith("Search.\nTwice.xxx")
            assert len(tool.description) == 4097

    run_real(scenario())


def test_a_server_of_another_age_is_said_to_be_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("old", tmp_path)) as shop:
            told = await shop.described()

            assert told.problem == "Unsupported protocol version from the server: 1912-04-14"

    run_real(scenario())


@pytest.mark.parametrize(
    ("wrong", "problem"), [("abyss", "its answer can't be read"), ("no_schema", "its list of tools is none")]
)
def test_a_list_that_can_not_be_read_is_said_to_be_none(wrong: str, problem: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange(wrong, tmp_path)) as shop:
            told = await shop.described()

            assert (told.tools, told.problem) == ((), problem)

    run_real(scenario())


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("fine", tmp_path, command=["no-such-command"])) as shop:
            assert (await shop.described()).problem == "there is no command 'no-such-command'"

    run_real(scenario())


def test_a_server_gets_what_its_definition_names_and_hardly_anything_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        environ = dict(os.environ) | {"SHOP_TOKEN": "hush-hush", "TRUNKLINE_MODEL_KEY": "sk-live"}
        async with Shop(strange("environment", tmp_path, env={"TOKEN": "$SHOP_TOKEN", "A": "b"}), environ) as shop:
            pins = await shop.pins()
            result = await shop.call(SEARCH, pins[SEARCH])

            got = json.loads(json.loads(result.output))
            assert (got["TOKEN"], got["A"]) == ("hush-hush", "b")
            allowed = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "TOKEN", "A"}
            assert got.keys() - allowed <= {"LC_CTYPE"}  # which Python sets by itself

    run_real(scenario())


def test_a_variable_that_is_not_set_is_named_before_anything_is_started(tmp_path: Path) -> None:
    server = strange("fine", tmp_path, env={"TOKEN": "$SHOP_TOKEN"})

    with pytest.raises(BadInput, match=r"McpServer orders: env.TOKEN: \$SHOP_TOKEN is not set"):
        Toolset({"orders": server}, "d1", {"PATH": os.environ["PATH"]})


def test_a_server_that_will_not_end_ends_with_the_runner_and_so_does_what_it_started(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("stubborn", tmp_path)) as shop:
            await shop.described()
            started = time.monotonic()
        took_s = time.monotonic() - started

        for pid in (*pids(tmp_path, "started"), *pids(tmp_path, "grandchild")):
            await gone(pid)
        assert took_s < 5

    run_real(scenario())


def test_a_server_ends_with_a_runner_that_is_killed(tmp_path: Path) -> None:
    runner = f"""
import asyncio
from pathlib import Path
from tool_servers.shop import Shop, strange

async def main():
    async with Shop(strange("stubborn", Path({str(tmp_path)!r}))) as shop:
        await shop.described()
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

    async def scenario() -> None:
        path = os.pathsep.join(sys.path)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", runner),
            stdout=asyncio.subprocess.PIPE,
            env=dict(os.environ) | {"PYTHONPATH": path},
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        await process.wait()

        for pid in (*pids(tmp_path, "started"), *pids(tmp_path, "grandchild")):
            await gone(pid)

    run_real(scenario())


def test_a_runner_that_stops_while_it_connects_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Shop(strange("hangs_in_initialize", tmp_path)) as shop:
            until_s = time.monotonic() + PATIENCE_S
            while not (tmp_path / "started").exists():
                assert time.monotonic() < until_s
                await asyncio.sleep(0.01)
            told = shop.toolset.describe("orders")
            assert told is not None
            assert told.problem == CONNECTING

        for pid in pids(tmp_path, "started"):
            await gone(pid)

    run_real(scenario())
