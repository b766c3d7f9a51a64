"""`trunkline approvals` against a gateway's real HTTP server and an agent that owns the call."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from gateway.owner import ARGUMENTS, CALL, Owner
from gateway.socket_scene import KEY, Server
from trunkline.cli.approvals import ApprovalLine, readable
from trunkline.cli.main import run

T = TypeVar("T")


class Desk:
    """A gateway and an owner in a loop of their own, since a command has its own as well."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.server: Server
        self.owner: Owner

    def start(self) -> "Desk":
        self._thread.start()
        self.do(self._open())
        return self

    def stop(self) -> None:
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20.0)

    async def _open(self) -> None:
        self.server = Server()
        await self.server.__aenter__()
        self.owner = await Owner(self.server).start()

    async def _close(self) -> None:
        await self.owner.stop()
        await self.server.__aexit__(None, None, None)

    @property
    def find(self) -> tuple[str, ...]:
        return "--url", f"http://127.0.0.1:{self.server.service.port}", "--key", KEY


Approvals = Callable[..., tuple[int, str, str]]


@pytest.fixture
def desk() -> Iterator[Desk]:
    started = Desk().start()
    yield started
    started.stop()


@pytest.fixture
def approvals(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Approvals:
    """Runs the command: (exit status, stdout, stderr)."""

    def command(*arguments: str) -> tuple[int, str, str]:
        status = run(("approvals", *arguments, *desk.find))
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def test_what_waits_is_listed_for_people_and_for_programs(desk: Desk, approvals: Approvals) -> None:
    nothing = approvals("list")
    name = desk.do(desk.owner.ask())
    status, text, _ = approvals("list")
    (listed,) = json.loads(approvals("list", "--json", "--call", CALL)[1])

    assert nothing == (0, "nothing waits for approval\n", "")
    assert status == 0
    assert [
        part for part in (name, CALL, "tool refund", '"cents": 1200.0', "left, then deny") if part not in text
    ] == []
    assert (listed["id"], listed["text"], listed["arguments"]) == (name, ARGUMENTS, json.loads(ARGUMENTS))
    assert json.loads(approvals("list", "--json", "--call", "rtc_00_other")[1]) == []


def test_a_decision_is_said_with_who_and_how(desk: Desk, approvals: Approvals) -> None:
    name = desk.do(desk.owner.ask())

    assert approvals("approve", name, "--by", "anna", "--note", "as agreed") == (0, f"{name}: approved, by anna\n", "")
    assert [(order.by, order.note) for order in desk.owner.heard] == [("anna", "as agreed")]


def test_who_comes_second_is_told_of_the_first_with_status_1(desk: Desk, approvals: Approvals) -> None:
    name = desk.do(desk.owner.ask())
    approvals("deny", name, "--by", "bert")
    status, out, err = approvals("approve", name, "--by", "anna")

    assert (status, out) == (1, "")
    assert err == f"trunkline: {name} is not decided by this: denied before, by bert\n"


def test_an_answer_may_be_edited_and_a_tool_call_may_not(desk: Desk, approvals: Approvals) -> None:
    answer, tool = desk.do(desk.owner.ask("answer", "You get nothing.")), desk.do(desk.owner.ask())
    status, _, err = approvals("approve", tool, "--by", "anna", "--text", '{"order":8}')

    assert approvals("approve", answer, "--by", "anna", "--text", "You get half.")[0] == 0
    assert desk.owner.heard[-1].text == "You get half."
    assert status == 2
    assert "can't be changed" in err


def test_without_a_name_it_is_the_login_s(desk: Desk, approvals: Approvals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "clara")
    name = desk.do(desk.owner.ask())

    assert approvals("deny", name)[1] == f"{name}: denied, by clara\n"


def test_an_unknown_approval_ends_with_status_1_and_one_line(approvals: Approvals) -> None:
    status, _, err = approvals("approve", "appr_03_k3m9_nobody22")

    assert (status, len(err.splitlines())) == (1, 1)
    assert "no approval 'appr_03_k3m9_nobody22'" in err


def test_a_wrong_key_ends_with_status_1(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(("approvals", "list", *desk.find[:2], "--key", "sk-no"))

    assert status == 1
    assert "refused with status 401" in capsys.readouterr().err


def test_what_cannot_be_an_approval_or_a_call_is_refused_with_status_2(approvals: Approvals) -> None:
    assert approvals("approve", "../etc")[0] == 2
    assert approvals("list", "--call", "../etc")[0] == 2


def test_invisible_characters_are_spelt_out() -> None:
    waiting = ApprovalLine(
        "appr_03_k3m9_x",
        CALL,
        "desk",
        "answer",
        None,
        None,
        "You get \x1b[2Jno\u202ething.\nGoodbye.",
        "2026-01-01T10:00:00Z",
        "2026-01-01T10:02:00Z",
        "approve",
    )

    assert readable(waiting, 1767261690.0) == [
        "appr_03_k3m9_x",
        f"  call {CALL}, agent desk; asked 90 s ago; 30 s left, then approve",
        "  answer:",
        "    You get \\x1b[2Jno\\u202ething.",
        "    Goodbye.",
    ]
