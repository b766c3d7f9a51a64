"""Keys, as the package `openai` sends them: an ephemeral one made and used, and each that is wrong refused."""

import asyncio
from typing import Any

import openai
import pytest
from openai.types.realtime import ClientSecretCreateResponse

from clients_py.scene import Desk, line, refused
from clients_py.test_openai_client import OPEN
from support.virtual import run_over_sockets

BOUND: Any = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "Speak of the sea.",
    "output_modalities": ["text"],
    "tools": [OPEN],
    "audio": {"output": {"voice": "marin"}},
}


async def made(desk: Desk, **options: Any) -> ClientSecretCreateResponse:
    async with desk.client as client:
        return await client.realtime.client_secrets.create(**options)


def test_an_ephemeral_key_opens_a_call_with_the_session_bound_to_it() -> None:
    async def main() -> None:
        async with Desk() as desk:
            secret = await made(desk, session=BOUND, expires_after={"anchor": "created_at", "seconds": 60})
            async with line(desk, key=secret.value) as mine:
                session = mine.seen[0].session
                response = await mine.asks("Hello")

            assert secret.value.startswith("ek_")
            ClientSecretCreateResponse.model_validate(secret.to_dict(), strict=True)
            assert secret.session.to_dict().items() >= {"instructions": "Speak of the sea.", "tools": [OPEN]}.items()
            assert (session.instructions, session.audio.output.voice) == ("Speak of the sea.", "marin")
            assert [tool.name for tool in session.tools] == ["open_page"]
            assert response.output[0].content[0].text == "You said Hello."
            assert "Speak of the sea." in desk.asked.requests[-1].instructions

    run_over_sockets(main())


def test_a_call_goes_on_after_its_key_and_no_other_begins() -> None:
    async def main() -> None:
        async with Desk() as desk:
            secret = await made(desk, expires_after={"anchor": "created_at", "seconds": 10})
            async with line(desk, key=secret.value) as mine:
                await asyncio.sleep(12.0)
                response = await mine.asks("Hello")
                status, error = await refused(desk, key=secret.value)

            assert response.status == "completed"
            assert status == 401
            assert error["type"] == "invalid_request_error"
            assert "expired" in error["message"]

    run_over_sockets(main())


@pytest.mark.parametrize("key", ["sk-wrong", "ek_none", "tampered"])
def test_a_key_that_is_wrong_opens_nothing(key: str) -> None:
    async def main() -> None:
        async with Desk() as desk:
            secret = await made(desk)
            name, expires_at, signature = secret.value.split(".")
            tampered = f"{name}.{int(expires_at) + 3600}.{signature}"
            status, error = await refused(desk, key=tampered if key == "tampered" else key)

            assert (status, error["code"], error["type"]) == (401, "invalid_api_key", "invalid_request_error")

    run_over_sockets(main())


def test_an_ephemeral_key_opens_calls_alone() -> None:
    async def main() -> None:
        async with Desk() as desk:
            secret = await made(desk)
            async with desk.client.with_options(api_key=secret.value) as client:
                with pytest.raises(openai.PermissionDeniedError):
                    await client.realtime.client_secrets.create()

    run_over_sockets(main())


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"expires_after": {"anchor": "created_at", "seconds": 5}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "yesterday"}}, "expires_after.anchor"),
        ({"session": {"type": "realtime", "colour": "red"}}, "session.colour"),
    ],
)
def test_what_a_key_cannot_have_is_refused_by_name(options: Any, param: str) -> None:
    async def main() -> None:
        async with Desk() as desk:
            with pytest.raises(openai.BadRequestError) as refusal:
                await made(desk, **options)

            assert refusal.value.param == param
            assert refusal.value.type == "invalid_request_error"

    run_over_sockets(main())


def test_a_model_that_there_is_not_is_refused() -> None:
    async def main() -> None:
        async with Desk() as desk:
            status, error = await refused(desk, model="nobody")
            with pytest.raises(openai.NotFoundError) as refusal:
                await made(desk, session={"type": "realtime", "model": "nobody"})

            assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
            assert refusal.value.code == "model_not_found"

    run_over_sockets(main())
