"""Tokens in place of values, and values in place of tokens."""

import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.virtual import run_virtual
from trunkline.agents.sensitive import KINDS, TOKEN, Kind
from trunkline.proto.errors import BadSettings
from trunkline.record import MemoryBucket, StoreUnavailable
from trunkline.vault import NoLongerKept, Vault, checked_ttl_s, has_tokens, key_of, open_vault
from trunkline.vault.json_text import changed
from trunkline.vault.sealing import Seal

KEY = bytes(range(32))
CALL, OTHER = "rtc_00_one", "rtc_00_two"
CARD = "4111111111111111"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.text(), st.text())
def test_a_token_is_the_same_each_time_in_a_call_and_another_in_another(value: str, other: str) -> None:
    token = Seal(KEY).token(CALL, "card", value)

    assert TOKEN.fullmatch(f"[{token}]")
    assert Seal(KEY).token(CALL, "card", value) == token
    assert Seal(KEY).token(OTHER, "card", value) != token
    assert Seal(bytes(32)).token(CALL, "card", value) != token
    assert (Seal(KEY).token(CALL, "card", other) == token) == (other == value)


def test_a_sealed_value_opens_only_as_what_it_was_sealed_as() -> None:
    seal = Seal(KEY)
    sealed = seal.close(CALL, "card_aaaaaaa2", CARD)

    assert seal.open(CALL, "card_aaaaaaa2", sealed) == CARD
    assert seal.open(OTHER, "card_aaaaaaa2", sealed) is None
    assert seal.open(CALL, "card_aaaaaaa3", sealed) is None
    assert seal.open(CALL, "card_aaaaaaa2", sealed[:-1]) is None
    assert seal.open(CALL, "card_aaaaaaa2", b"") is None
    assert Seal(bytes(32)).open(CALL, "card_aaaaaaa2", sealed) is None
    assert CARD.encode() not in sealed
    assert seal.close(CALL, "card_aaaaaaa2", CARD) != sealed


def test_what_is_taken_out_of_words_is_put_back_into_arguments() -> None:
    async def scenario() -> None:
        store = MemoryBucket()
        vault = Vault(KEY, store)
        text = vault.redact(CALL, "It is 4111 1111 1111 1111, or anna at example dot com.", KINDS)
        await vault.kept(CALL)
        card, email = (match.group(1) for match in TOKEN.finditer(text))

        assert text == f"It is [{card}], or [{email}]."
        arguments = f'{{"card": "[{card}]", "note": "of {email}", "n": 1.50}}'
        resolved = await Vault(KEY, store).resolve(CALL, arguments)
        assert resolved == '{"card": "4111111111111111", "note": "of anna@example.com", "n": 1.50}'

    run_virtual(scenario())


def test_what_another_call_said_is_not_put_in() -> None:
    async def scenario() -> None:
        vault = Vault(KEY, MemoryBucket())
        token = vault.keep(CALL, "card", CARD)
        await vault.kept(CALL)

        with pytest.raises(NoLongerKept, match=f"the card number {token} is no longer kept; ask the caller again"):
            await vault.resolve(OTHER, f'{{"card": "{token}"}}')

    run_virtual(scenario())


def test_a_value_is_forgotten_after_its_time_and_kept_from_its_last_mention_on() -> None:
    async def scenario() -> None:
        vault = Vault(KEY, MemoryBucket(ttl_s=60, now_s=asyncio.get_running_loop().time))
        arguments = f'{{"card": "{vault.keep(CALL, "card", CARD)}"}}'
        await asyncio.sleep(50)
        vault.keep(CALL, "card", CARD)
        await asyncio.sleep(50)

        assert CARD in await vault.resolve(CALL, arguments)
        await asyncio.sleep(20)
        with pytest.raises(NoLongerKept):
            await vault.resolve(CALL, arguments)

    run_virtual(scenario())


class SlowStore(MemoryBucket):
    """Takes a second, or never gets there."""

    broken = False

    async def put(self, key: str, value: bytes) -> None:
        await asyncio.sleep(1)
        if self.broken:
            raise StoreUnavailable(key, 1.0)
        await super().put(key, value)


def test_the_token_is_there_at_once_and_kept_waits_for_the_calls_values_only() -> None:
    async def scenario() -> None:
        loop, vault = asyncio.get_running_loop(), Vault(KEY, SlowStore())
        vault.keep(CALL, "card", CARD)

        assert loop.time() == 0
        await vault.kept(OTHER)
        assert loop.time() == 0
        await vault.kept(CALL)
        assert loop.time() == 1

    run_virtual(scenario())


def test_a_value_that_cannot_be_written_is_told_to_who_waits_for_it() -> None:
    async def scenario() -> None:
        store = SlowStore()
        store.broken = True
        vault = Vault(KEY, store)
        vault.keep(CALL, "card", CARD)

        with pytest.raises(StoreUnavailable):
            await vault.kept(CALL)

    run_virtual(scenario())


def test_who_stops_waiting_stops_no_writing() -> None:
    async def scenario() -> None:
        vault = Vault(KEY, SlowStore())
        token = vault.keep(CALL, "card", CARD)
        waiting = asyncio.create_task(vault.kept(CALL))
        await asyncio.sleep(0.5)
        waiting.cancel()
        await asyncio.sleep(1)

        assert waiting.cancelled()
        assert await vault.resolve(CALL, f'["{token}"]') == f'["{CARD}"]'

    run_virtual(scenario())


def test_a_closed_vault_leaves_no_task_behind() -> None:
    async def scenario() -> None:
        vault = Vault(KEY, SlowStore())
        vault.keep(CALL, "card", CARD)
        await vault.close()

    run_virtual(scenario())


def test_of_a_result_strings_and_whole_numbers_are_taken_out_and_the_rest_stays() -> None:
    async def scenario() -> None:
        vault = Vault(KEY, MemoryBucket())
        result = (
            '{"card":  "4111-1111 1111\\u00201111", "n": 4111111111111111, "price": 4111.111111111111,'
            ' "order": "5551234567", "phone": "5551234567", "anna@example.com": [1.10, null]}'
        )
        redacted = vault.redact_json(CALL, result, KINDS)
        card, phone, email = (f"[{vault.keep(CALL, *one)}]" for one in VALUES)

        assert redacted == (
            f'{{"card":  "{card}", "n": "{card}", "price": 4111.111111111111, "order": "5551234567",'
            f' "phone": "{phone}", "{email}": [1.10, null]}}'
        )
        assert vault.redact_json(CALL, redacted, KINDS) == redacted
        assert vault.redact_json(CALL, f"no JSON: {CARD}", KINDS) == f"no JSON: {card}"
        assert vault.redact_json(CALL, result, ()) == result
        await vault.kept(CALL)

    run_virtual(scenario())


VALUES: tuple[tuple[Kind, str], ...] = (("card", CARD), ("phone", "5551234567"), ("email", "anna@example.com"))


@given(json_values)
def test_json_without_a_value_stays_as_it_is_to_the_character(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert changed(text, lambda found, _: found, numbers=True) == text


@given(json_values)
def test_every_string_of_json_is_asked_about(value: object) -> None:
    text = changed(json.dumps(value), lambda found, _: found + "!")

    assert json.loads(text) == marked(value)


def marked(value: object) -> object:
    if isinstance(value, str):
        return value + "!"
    if isinstance(value, list):
        return [marked(one) for one in value]
    if isinstance(value, dict):
        return {key + "!": marked(one) for key, one in value.items()}
    return value


def test_words_that_look_like_tokens_are_none() -> None:
    assert not has_tokens('{"field": "email_verified", "type": "card_business", "discard_aaaaaaa2": 1}')
    assert has_tokens('{"card": "card_aaaaaaa2"}')


@pytest.mark.parametrize("setting", ["x", "AAAA", base64.b64encode(bytes(31)).decode(), "*" * 44])
def test_a_key_that_is_none_is_refused_by_the_variables_name(setting: str) -> None:
    with pytest.raises(BadSettings, match=r"TRUNKLINE_VAULT_KEY: is no key; allowed: 32 random bytes in base64"):
        key_of(setting)


def test_a_key_may_be_written_in_either_alphabet() -> None:
    assert key_of(base64.b64encode(b"\xff" * 32).decode()) == key_of(base64.urlsafe_b64encode(b"\xff" * 32).decode())


def test_without_a_key_nothing_that_needs_one_starts() -> None:
    with pytest.raises(BadSettings, match="TRUNKLINE_VAULT_KEY: is not set"):
        open_vault("", MemoryBucket(), needed=True)
    assert open_vault("", MemoryBucket(), needed=False) is None


@pytest.mark.parametrize("seconds", [0, 86_401, float("nan")])
def test_a_time_that_is_too_short_or_long_is_refused(seconds: float) -> None:
    with pytest.raises(BadSettings, match="TRUNKLINE_VAULT_TTL_S"):
        checked_ttl_s(seconds)
