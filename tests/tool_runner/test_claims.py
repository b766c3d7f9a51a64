"""A tool runs under a claim or not at all, and what came of it is in the claim before anybody hears of it."""

import asyncio

import msgspec
import pytest

from support.virtual import run_virtual
from tool_runner.desk import CALL, NOW_US, Desk, an_order, words
from trunkline.agents import Tool, tool
from trunkline.proto.record import Claim
from trunkline.proto.tool import RunTool, ToolDeclined, ToolResult, ToolStarted
from trunkline.record import Attempt, MemoryClaimStore, StoredClaim, StoreUnavailable

ATTEMPT = Attempt(CALL, "call_1")
ORDER = an_order("act")


class Effects:
    """A tool that does something out there, which takes it a second, and counts how often it did."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def tool(self) -> Tool:
        async def act() -> str:
            """Do it."""
            self.count += 1
            await asyncio.sleep(1)
            return "done"

        return tool(act)


class MoodyClaims(MemoryClaimStore):
    """takes_s: an answer takes so long. away: no answer comes, though what was asked is done all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.claim_takes_s = self.settle_takes_s = 0.0
        self.away = False

    async def claim(self, attempt: Attempt, claim: Claim) -> StoredClaim:
        await asyncio.sleep(self.claim_takes_s)
        stored = await super().claim(attempt, claim)
        if self.away:
            raise StoreUnavailable(attempt.key, 1.0)
        return stored

    async def settle(self, attempt: Attempt, claim: Claim, *, expected_seq: int) -> int:
        await asyncio.sleep(self.settle_takes_s)
        return await super().settle(attempt, claim, expected_seq=expected_seq)


def a_desk(effects: Effects, claims: MemoryClaimStore | None = None, worker: str = "runner-1") -> Desk:
    return Desk([effects.tool], claims=claims or MemoryClaimStore(), worker=worker)


async def put(claims: MemoryClaimStore, claim: Claim) -> None:
    await claims.claim(ATTEMPT, claim)


def test_a_tool_does_not_begin_before_its_claim_is_durable() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MoodyClaims()
        claims.claim_takes_s = 2.0
        desk = a_desk(effects, claims)
        desk.send(ORDER)
        await asyncio.sleep(1.9)
        assert (effects.count, desk.answers) == (0, [])

        await asyncio.sleep(0.2)

        assert (effects.count, desk.answers) == (1, [ToolStarted("call_1", "runner-1")])
        assert claims.claims[ATTEMPT].claim == Claim(NOW_US, "runner-1", 3)
        await desk.result()

    run_virtual(scenario())


def test_a_result_is_in_the_claim_before_it_is_answered() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MoodyClaims()
        claims.settle_takes_s = 0.5
        desk = a_desk(effects, claims)
        desk.send(ORDER)
        await asyncio.sleep(1.4)
        assert desk.results == []

        result = await desk.result()

        assert claims.claims[ATTEMPT].claim.result == result

    run_virtual(scenario())


def test_a_result_that_the_store_does_not_take_is_answered_and_gets_there_later() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MoodyClaims()
        claims.settle_takes_s = 5.0
        desk = a_desk(effects, claims)
        desk.send(ORDER)
        await asyncio.sleep(2.1)
        assert [result.status for result in desk.results] == ["ok"]
        assert claims.claims[ATTEMPT].claim.result is None

        await asyncio.sleep(5)

        assert claims.claims[ATTEMPT].claim.result == desk.results[0]

    run_virtual(scenario())


def test_of_two_runners_with_the_same_order_one_runs_it_and_is_asked_by_the_other() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MemoryClaimStore()
        desks = [a_desk(effects, claims, f"runner-{n}") for n in (1, 2)]
        for desk in desks:
            desk.send(ORDER, sender=f"agent.{desk.worker}")
        await asyncio.sleep(2)

        assert effects.count == 1
        assert [type(message) for message in desks[0].answers] == [ToolStarted, ToolResult]
        assert desks[1].answers == [ToolStarted("call_1", "runner-1")]
        assert [(runner, asked.sender, asked.message) for runner, asked in desks[1].passed_on] == [
            ("runner-1", "agent.runner-2", ORDER)
        ]

    run_virtual(scenario())


def test_an_order_that_another_runner_has_carried_out_is_answered_from_its_claim() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MemoryClaimStore()
        first, second = (a_desk(effects, claims, f"runner-{n}") for n in (1, 2))
        first.send(ORDER)
        result = await first.result()
        second.send(ORDER)

        assert await second.result() == result
        assert effects.count == 1

    run_virtual(scenario())


def test_an_order_whose_claim_is_void_is_declined_for_good() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MemoryClaimStore()
        await put(claims, Claim(1, "", 4, void=True))
        desk = a_desk(effects, claims)
        desk.send(ORDER)
        await asyncio.sleep(1)

        assert desk.answers == [ToolDeclined("call_1", "expired", "runner-1")]
        assert (effects.count, desk.runner.runs) == (0, 0)

    run_virtual(scenario())


def test_a_claim_of_an_earlier_life_under_the_same_worker_id_is_a_dead_run() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MemoryClaimStore()
        await put(claims, Claim(1, "runner-1", 3))
        desk = a_desk(effects, claims)
        desk.send(ORDER)

        result = await desk.result()

        assert (result.status, words(result)) == ("unknown", "act was cut off; whether it took effect is not known.")
        assert claims.claims[ATTEMPT].claim.result == result
        assert effects.count == 0

    run_virtual(scenario())


def test_without_the_store_nothing_runs_and_a_claim_that_was_stored_after_all_is_still_its_makers() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MoodyClaims()
        claims.away = True
        desk = a_desk(effects, claims)
        desk.send(ORDER)
        await asyncio.sleep(1)
        assert (effects.count, desk.answers) == (0, [ToolDeclined("call_1", "busy", "runner-1")])

        claims.away = False
        desk.now_us += 1_000_000
        desk.send(ORDER)

        assert (await desk.result()).status == "ok"
        assert effects.count == 1

    run_virtual(scenario())


def test_who_asks_while_the_claim_is_made_gets_the_answer() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MoodyClaims()
        claims.claim_takes_s = 1.0
        desk = a_desk(effects, claims)
        desk.send(ORDER)
        await asyncio.sleep(0.5)
        desk.send(ORDER, sender="agent.agent-2", epoch=4)
        await desk.result()

        assert {subject for subject, _ in desk.posted} == {f"tl.v1.agent.agent-2.{CALL}"}
        assert effects.count == 1

    run_virtual(scenario())


def test_an_agent_that_has_lost_the_call_cannot_take_the_answer_away() -> None:
    async def scenario() -> None:
        effects = Effects()
        desk = a_desk(effects)
        desk.send(ORDER, sender="agent.agent-2", epoch=4)
        await asyncio.sleep(0.5)
        desk.send(ORDER, sender="agent.zombie", epoch=3)
        await desk.result()

        assert {subject for subject, _ in desk.posted} == {f"tl.v1.agent.agent-2.{CALL}"}

    run_virtual(scenario())


def test_a_claim_that_comes_after_the_deadline_runs_nothing_and_says_so() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MoodyClaims()
        claims.claim_takes_s = 1.0
        desk = a_desk(effects, claims)
        desk.send(msgspec.structs.replace(ORDER, deadline_us=NOW_US + 1))
        desk.now_us += 2

        result = await desk.result()

        assert (result.status, words(result)) == ("error", "act was not run: its time was over before it could begin.")
        assert claims.claims[ATTEMPT].claim.result == result
        assert (effects.count, desk.answers) == (0, [result])

    run_virtual(scenario())


def test_a_further_attempt_that_was_not_run_says_nothing_of_the_first() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MoodyClaims()
        claims.claim_takes_s = 1.0
        desk = a_desk(effects, claims)
        desk.send(msgspec.structs.replace(ORDER, attempt=2, deadline_us=NOW_US + 1))
        desk.now_us += 2

        assert (await desk.result()).status == "unknown"

    run_virtual(scenario())


def test_a_tool_whose_runner_stops_before_its_claim_is_made_is_not_run() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MoodyClaims()
        claims.claim_takes_s = 1.0
        desk = a_desk(effects, claims)
        desk.send(ORDER)
        await asyncio.sleep(0.5)
        await desk.runner.stop()

        result = await desk.result()

        assert (words(result), effects.count) == ("act was not run: its runner stopped.", 0)

    run_virtual(scenario())


def test_a_further_attempt_has_a_claim_of_its_own() -> None:
    async def scenario() -> None:
        effects, claims = Effects(), MemoryClaimStore()
        await put(claims, Claim(1, "runner-9", 3))
        desk = a_desk(effects, claims)
        again: RunTool = msgspec.structs.replace(ORDER, attempt=2)
        desk.send(again)
        await desk.result()

        assert effects.count == 1
        assert claims.claims[ATTEMPT._replace(number=2)].claim.runner == "runner-1"

    run_virtual(scenario())


class NoClaims(MemoryClaimStore):
    async def claim(self, attempt: Attempt, claim: Claim) -> StoredClaim:
        raise ValueError("not a subject token")


def test_an_order_that_cannot_be_claimed_leaves_no_place_taken(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        effects = Effects()
        desk = a_desk(effects, NoClaims())
        desk.send(msgspec.structs.replace(ORDER, key="*.>"))
        await asyncio.sleep(1)

        assert (effects.count, desk.runner.runs) == (0, 0)

    run_virtual(scenario())
