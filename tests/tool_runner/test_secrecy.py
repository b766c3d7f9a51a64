"""A tool gets the values that tokens stand for, and nothing of them is in what it leaves behind."""

import json

from support.virtual import run_virtual
from tool_runner.desk import CALL, Desk, an_order, words
from trunkline.agents import ToolContext, tool
from trunkline.agents.sensitive import TOKEN
from trunkline.record import MemoryBucket
from trunkline.tool_runner.secrecy import Secrecy
from trunkline.vault import Vault

KEY = bytes(32)
CARD = "4111111111111111"
seen: list[object] = []


@tool
async def charge(card: str, context: ToolContext) -> dict[str, str]:
    """Charge a card."""
    seen[:] = [card, dict(context.state)]
    context.state["last"] = f"card {card}"
    return {"charged": card, "receipt": "to anna@example.com"}


@tool
async def decline(card: str) -> None:
    """Charge a card that is declined."""
    raise ValueError(f"{card} is declined")


def desk(vault: Vault | None, *kinds: str) -> Desk:
    return Desk([charge, decline], secrecy=Secrecy(vault, kinds))  # type: ignore[arg-type]  # kinds


def test_a_tool_gets_the_value_and_its_result_claim_and_state_hold_the_token() -> None:
    async def scenario() -> None:
        vault = Vault(KEY, MemoryBucket())
        token = vault.keep(CALL, "card", CARD)
        await vault.kept(CALL)
        here = desk(vault, "card")
        here.send(an_order("charge", f'{{"card": "[{token}]"}}', state=f'{{"old": "{token}"}}'))
        result = await here.result()

        assert seen == [CARD, {"old": CARD}]
        assert json.loads(result.output) == {"charged": f"[{token}]", "receipt": "to anna@example.com"}
        assert json.loads(result.state_patch) == {"last": f"card [{token}]"}
        assert CARD not in repr((here.posted, here.claims.claims))

    run_virtual(scenario())


def test_what_a_tool_gives_can_be_had_by_the_next() -> None:
    async def scenario() -> None:
        store = MemoryBucket()
        vault = Vault(KEY, store)
        here = desk(vault, "card", "email")
        here.send(an_order("charge", f'{{"card": "{CARD}"}}'))
        result = await here.result()

        assert len(TOKEN.findall(result.output)) == 2
        assert json.loads(await Vault(KEY, store).resolve(CALL, result.output))["receipt"] == "to anna@example.com"

    run_virtual(scenario())


def test_what_a_tool_says_as_it_fails_holds_no_value() -> None:
    async def scenario() -> None:
        vault = Vault(KEY, MemoryBucket())
        token = vault.keep(CALL, "card", CARD)
        here = desk(vault, "card")
        here.send(an_order("decline", f'{{"card": "{token}"}}'))

        assert words(await here.result()) == f"decline failed: ValueError: [{token}] is declined"

    run_virtual(scenario())


def test_a_tool_whose_value_is_no_longer_kept_is_not_run_and_the_model_is_told_to_ask() -> None:
    async def scenario() -> None:
        seen.clear()
        here = desk(Vault(KEY, MemoryBucket()), "card")
        here.send(an_order("charge", '{"card": "card_abcdefg2"}'))
        result = await here.result()

        assert result.status == "error"
        assert words(result) == (
            "charge was not run: the card number card_abcdefg2 is no longer kept; ask the caller again."
        )
        assert seen == []

    run_virtual(scenario())


def test_without_a_vault_what_looks_like_a_token_is_a_word_like_any_other() -> None:
    async def scenario() -> None:
        here = desk(None, "card")
        here.send(an_order("charge", '{"card": "card_abcdefg2"}'))
        await here.result()

        assert seen[0] == "card_abcdefg2"

    run_virtual(scenario())
