"""An ephemeral key is good until it expires, at every gateway that shares the secret, and nobody else can make one."""

import asyncio

import pytest

from trunkline.gateway.ephemeral_keys import EphemeralKeys
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.record import MemoryBucket, StoreUnavailable

NOW_S = 1_800_000_000.9


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def made(secret: str = "", keys: tuple[str, ...] = ("sk-a",), for_s: int = 600) -> tuple[EphemeralKeys, str, Clock]:
    clock = Clock()
    minting = EphemeralKeys(secret, keys, MemoryBucket(), clock)
    return minting, asyncio.run(minting.mint(b'{"model":"desk"}', for_s)).value, clock


def test_a_key_expires_so_many_seconds_after_it_was_made() -> None:
    minting, value, clock = made(for_s=10)
    key = minting.read(value)
    assert key is not None

    assert key.expires_at == 1_800_000_010
    assert not minting.has_expired(key)
    clock.now_s = 1_800_000_010.0
    assert minting.has_expired(key)


def test_a_key_made_at_one_gateway_brings_its_session_to_another() -> None:
    bucket = MemoryBucket()

    async def main() -> None:
        value = (await EphemeralKeys("", ["sk-a", "sk-b"], bucket).mint(b'{"model":"desk"}', 600)).value
        other = EphemeralKeys("", ["sk-b", "sk-a"], bucket)
        key = other.read(value)

        assert key is not None
        assert await other.session_of(key) == b'{"model":"desk"}'

    asyncio.run(main())


def test_a_key_can_stand_in_a_subprotocol() -> None:
    _, value, _ = made()

    assert value.startswith("ek_")
    assert set(value) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


GENUINE = made()[1]
NAME, EXPIRES_AT, SIGNATURE = GENUINE.split(".")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ek_",
        NAME,
        f"{NAME}.{EXPIRES_AT}",
        f"{NAME}.{EXPIRES_AT}.",
        f"{NAME}.{EXPIRES_AT}.{'0' * 64}",
        f"{NAME}.{int(EXPIRES_AT) + 1}.{SIGNATURE}",
        f"{NAME[:-1]}{'b' if NAME[-1] == 'a' else 'a'}.{EXPIRES_AT}.{SIGNATURE}",
        f"{NAME}.{EXPIRES_AT}.\udcff",
        f"{NAME}.soon.{SIGNATURE}",
        GENUINE.removeprefix("ek_"),
        made(keys=("sk-other",))[1],
        made(secret="other")[1],
    ],
)
def test_anything_else_is_no_key(value: str) -> None:
    minting, genuine, _ = made()

    assert minting.read(genuine) is not None
    assert minting.read(GENUINE) is not None
    assert minting.read(value) is None


def test_a_resume_token_is_no_ephemeral_key_whatever_it_names() -> None:
    signed = f"{NAME}.{EXPIRES_AT}"
    forged = f"{signed}.{ResumeTokens('', ['sk-a']).issue(signed).rpartition('.')[2]}"

    assert made()[0].read(forged) is None


def test_no_key_is_told_whose_session_is_not_kept() -> None:
    class Away(MemoryBucket):
        async def put(self, key: str, value: bytes) -> None:
            raise StoreUnavailable(key, 1.0)

    async def main() -> None:
        with pytest.raises(StoreUnavailable):
            await EphemeralKeys("", ["sk-a"], Away()).mint(b"{}", 600)

    asyncio.run(main())
