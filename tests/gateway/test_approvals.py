"""Approvals over HTTP: what waits is listed, and a person's decision reaches the owner, whoever that is by then."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.owner import ARGUMENTS, CALL, Owner
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets
from trunkline.gateway.approvals import TEXT_CHARACTERS
from trunkline.gateway.deciding import WAITING, Deciding
from trunkline.proto import record
from trunkline.proto.approval import ApprovalAnswered, DecideApproval
from trunkline.record.recorder import wall_us

Scenario = Callable[[Server, Owner], Awaitable[None]]


def with_owner(scenario: Scenario) -> None:
    async def main() -> None:
        async with Server() as server:
            owner = await Owner(server).start()
            try:
                await scenario(server, owner)
            finally:
                await owner.stop()

    run_over_sockets(main())


async def post(server: Server, name: str, /, *, key: str = KEY, **body: object) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    async with server.client.post(f"/v1/approvals/{name}", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


def test_what_waits_is_listed_with_its_exact_arguments() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask()
        status, (listed,) = await server.get("/v1/approvals")

        assert status == 200
        assert listed.pop("asked_at") < listed.pop("deadline")
        assert listed == {
            "id": name,
            "call_id": CALL,
            "agent": "desk",
            "kind": "tool",
            "tool": "refund",
            "arguments": {"order": 7, "cents": 1200.0},
            "text": ARGUMENTS,
            "default": "deny",
        }

    with_owner(scenario)


def test_the_list_is_of_one_call_if_that_is_asked_for() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask("answer", "You get nothing.")
        status, body = await server.get("/v1/approvals?call=nonsense")

        assert [one["id"] for one in (await server.get(f"/v1/approvals?call={CALL}"))[1]] == [name]
        assert (await server.get("/v1/approvals?call=rtc_00_other"))[1] == []
        assert (status, body["error"]["param"]) == (400, "call")

    with_owner(scenario)


def test_what_is_decided_overdue_or_of_an_ended_call_is_not_listed() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        decided, _ = await owner.ask(), await owner.ask(for_s=-6.0)
        open_ = await owner.ask(for_s=-1.0)  # its owner is about to decide the default
        await owner.decide(decided, "denied")
        listed = (await server.get("/v1/approvals"))[1]
        await owner.write(record.Ended(wall_us(), "caller_hung_up"))

        assert [one["id"] for one in listed] == [open_]
        assert (await server.get("/v1/approvals"))[1] == []

    with_owner(scenario)


def test_a_decision_reaches_the_owner_and_its_word_the_person() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask()
        told = await post(server, name, decision="approve", by="anna", note="as agreed")
        status, shown = await server.get(f"/v1/approvals/{name}")

        assert told == (200, {"id": name, "decision": "approved", "by": "anna", "outcome": "decided"})
        assert (status, shown["decision"], shown["by"], shown["note"]) == (200, "approved", "anna", "as agreed")

    with_owner(scenario)


def test_of_two_people_who_decide_at_once_one_is_told_of_the_other() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask()
        anna, bert = await asyncio.gather(
            post(server, name, decision="approve", by="anna"), post(server, name, decision="deny", by="bert")
        )
        (won, first), (lost, second) = sorted((anna, bert), key=lambda one: one[0])

        assert (won, lost) == (200, 409)
        assert second["error"]["code"] == "already_decided"
        assert (second["decision"], second["by"]) == (first["decision"], first["by"])
        assert second["error"]["message"] == f"{first['decision']} before, by {first['by']}"

    with_owner(scenario)


def test_the_same_decision_of_the_same_person_may_be_sent_again() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask("answer", "You get nothing.")
        first = await post(server, name, decision="approve", by="anna", text="You get half.")
        again = await post(server, name, decision="approve", by="anna", text="You get half.")
        other = await post(server, name, decision="approve", by="anna", text="You get all.")

        assert first[0] == 200
        assert again == first
        assert (other[0], other[1]["by"]) == (409, "anna")

    with_owner(scenario)


def test_an_edited_answer_is_what_the_owner_hears() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask("answer", "You get nothing.")
        await post(server, name, decision="approve", by="anna", text="You get half.")
        shown = (await server.get(f"/v1/approvals/{name}"))[1]

        assert [(order.choice, order.text) for order in owner.heard] == [("approve", "You get half.")]
        assert (shown["text"], shown["edited"]) == ("You get nothing.", "You get half.")

    with_owner(scenario)


def test_an_order_that_was_lost_is_said_again_under_the_same_name() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name, owner.deaf = await owner.ask(), 3
        status, _ = await post(server, name, decision="approve", by="anna")

        assert status == 200
        assert len(owner.heard) == 4
        assert len({order.order for order in owner.heard}) == 1

    with_owner(scenario)


def test_another_agent_that_took_the_call_answers_as_well() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name, owner.mute = await owner.ask(), True
        asking = asyncio.create_task(post(server, name, decision="approve", by="anna"))
        await asyncio.sleep(1.2)
        other = await Owner(server, "agent-10").start(attach=2)
        status, _ = await asking
        await other.stop()

        assert status == 200
        assert [one.by for one in other.heard] == ["anna"]

    with_owner(scenario)


def test_nobody_to_answer_is_told_within_ten_seconds_and_may_be_asked_again() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name, owner.mute = await owner.ask(), True
        headers = {"Authorization": f"Bearer {KEY}"}
        began_s = asyncio.get_running_loop().time()
        body = {"decision": "deny", "by": "anna"}
        async with server.client.post(f"/v1/approvals/{name}", json=body, headers=headers) as refused:
            told = await refused.json()
            took_s = asyncio.get_running_loop().time() - began_s

            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            assert "it may have been decided: look again" in told["error"]["message"]
            assert 9.5 < took_s < 11.0

        owner.mute = False
        assert (await post(server, name, decision="deny", by="anna"))[0] == 200

    with_owner(scenario)


def test_a_decided_one_is_answered_from_the_record_though_no_agent_is_left() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name, withdrawn = await owner.ask(), await owner.ask()
        timed_out = await owner.ask()
        await owner.decide(name, "approved", "anna")
        await owner.decide(timed_out, "denied")
        await owner.write(record.Ended(wall_us(), "caller_hung_up"))
        owner.mute = True

        assert (await post(server, name, decision="approve", by="anna"))[0] == 200
        assert (await post(server, name, decision="approve", by="bert"))[1]["by"] == "anna"
        status, told = await post(server, withdrawn, decision="approve", by="bert")
        assert (status, told["decision"], told["error"]["message"]) == (409, "withdrawn", "the call is over")
        status, told = await post(server, timed_out, decision="deny", by="bert")
        assert (status, told["error"]["message"]) == (409, "denied: its time was over")
        assert owner.heard == []

    with_owner(scenario)


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (ARGUMENTS, 200),
        ({"cents": 1200.0, "order": 7}, 200),
        ({"order": 7, "cents": 1200}, 409),
        ({"order": 7, "cents": 1200.5}, 409),
        ({"order": True, "cents": 1200.0}, 409),
        ('{"cents":1200.0,"order":7}', 409),
        (None, 409),
    ],
)
def test_what_was_shown_must_be_what_is_decided(shown: object, status: int) -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask()
        got, body = await post(server, name, decision="approve", by="anna", shown=shown)

        assert got == status
        assert status == 200 or body["error"]["code"] == "not_as_shown"
        assert len(owner.heard) == (status == 200)

    with_owner(scenario)


BAD: list[tuple[dict[str, object], str, str]] = [
    ({"by": "anna"}, "decision", "is missing"),
    ({"decision": "approve"}, "by", "is missing"),
    ({"decision": "perhaps", "by": "anna"}, "decision", "allowed: approve, deny"),
    ({"decision": "approve", "by": 3}, "by", "expected `str`, got `int`"),
    ({"decision": "approve", "by": " "}, "by", "is no name"),
    ({"decision": "approve", "by": "an\nna"}, "by", "is no name"),
    ({"decision": "approve", "by": "a" * 101}, "by", "1 to 100 characters"),
    ({"decision": "approve", "by": "anna", "reason": "x"}, "reason", "allowed: decision, by, text, note, shown"),
    ({"decision": "approve", "by": "anna", "text": " "}, "text", "says nothing"),
    ({"decision": "approve", "by": "anna", "text": "a" * (TEXT_CHARACTERS + 1)}, "text", "1 to 8000 characters"),
    ({"decision": "approve", "by": "anna", "note": "a" * 1001}, "note", "up to 1000 characters"),
    ({"decision": "approve", "by": "anna", "text": '{"order":8}'}, "text", "can't be changed"),
]


@pytest.mark.parametrize(("body", "param", "problem"), BAD, ids=[f"{param}-{n}" for n, (_, param, _) in enumerate(BAD)])
def test_an_unusable_decision_is_refused_by_the_field(body: dict[str, object], param: str, problem: str) -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask()
        status, told = await post(server, name, **body)

        assert (status, told["error"]["param"]) == (400, param)
        assert problem in told["error"]["message"]
        assert owner.heard == []

    with_owner(scenario)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 400), (b"{", 400), (b"\xff", 400), (b"[" * 20_000, 400), (b" " * 170_000, 413)],
)
def test_a_body_that_is_no_order_is_refused(body: bytes, status: int) -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask()
        headers = {"Authorization": f"Bearer {KEY}"}
        async with server.client.post(f"/v1/approvals/{name}", data=body, headers=headers) as refused:
            assert (refused.status, set(await refused.json())) == (status, {"error"})

    with_owner(scenario)


@pytest.mark.parametrize(
    "name", ["appr_03_k3m9_nobody22", "appr_03_other_nobody22", "nonsense", "..%2f", "appr_99_a_b"]
)
def test_an_unknown_approval_is_not_found(name: str) -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        assert (await server.get(f"/v1/approvals/{name}"))[0] == 404
        assert (await post(server, name, decision="approve", by="anna"))[0] == 404

    with_owner(scenario)


def test_nobody_decides_without_a_key() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        name = await owner.ask()

        assert (await server.get("/v1/approvals", key="sk-no"))[0] == 401
        assert (await server.get(f"/v1/approvals/{name}", key="sk-no"))[0] == 401
        assert (await post(server, name, key="sk-no", decision="approve", by="anna"))[0] == 401
        assert owner.heard == []

    with_owner(scenario)


def test_an_answer_that_nobody_waits_for_is_dropped_and_decisions_are_bounded() -> None:
    async def scenario(server: Server, owner: Owner) -> None:
        deciding = Deciding(server.scene.exchange)
        server.service._calls.on_answered = deciding.hear
        owner.mute = True
        orders = [DecideApproval("appr_03_k3m9_x", "deny", "anna", order=f"order_{n}") for n in range(WAITING + 1)]
        tasks = [asyncio.create_task(deciding.decide(CALL, order)) for order in orders]
        await asyncio.sleep(0)
        for answer in (ApprovalAnswered("appr_03_k3m9_x", "unknown", order="order_0"),) * 2:
            deciding.hear(answer)
        deciding.hear(ApprovalAnswered("appr_03_k3m9_x", "unknown", order="order_of_nobody"))
        done = await asyncio.gather(*tasks, return_exceptions=True)

        assert getattr(done[0], "outcome", "") == "unknown"
        assert set(done[1:-1]) == {None}
        assert "wait for an answer already" in str(done[-1])
        assert len(deciding) == 0

    with_owner(scenario)
