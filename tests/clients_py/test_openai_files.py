"""Files as the package `openai` uploads, lists, reads and deletes them, and what it makes of our refusals."""

from pathlib import Path
from typing import Any

import openai
import pytest

from clients_py.scene import Desk
from support.pictures import animated, picture
from support.virtual import run_over_sockets

pytestmark = pytest.mark.clients

PNG = picture()


def test_a_file_is_uploaded_listed_read_and_deleted(tmp_path: Path) -> None:
    cat = tmp_path / "cat.png"
    cat.write_bytes(PNG)

    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            one = await client.files.create(file=cat, purpose="vision")
            other = await client.files.create(
                file=("notes.txt", b"some words"),
                purpose="user_data",
                expires_after={"anchor": "created_at", "seconds": 3600},
            )
            listed = [file.id async for file in client.files.list()]
            pages = [file.id async for file in client.files.list(limit=1, order="asc")]
            pictures = await client.files.list(purpose="vision")
            found = await client.files.retrieve(one.id)
            content = await client.files.content(one.id)
            deleted = await client.files.delete(other.id)

            assert (one.filename, one.bytes, one.purpose, one.object) == ("cat.png", len(PNG), "vision", "file")
            assert other.expires_at == other.created_at + 3600
            assert sorted(listed) == sorted(pages) == sorted([one.id, other.id])
            assert [file.id for file in pictures.data] == [one.id]
            assert found == one
            assert content.content == PNG
            assert (deleted.id, deleted.deleted) == (other.id, True)
            assert [file.id async for file in client.files.list()] == [one.id]

    run_over_sockets(main())


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"file": ("cat.gif", animated("GIF"))}, "file", "invalid_image_format"),
        ({"file": ("cat.png", b"hello")}, "file", "invalid_image_format"),
        ({"file": ("cat.png", PNG), "purpose": "assistants"}, "purpose", "not_supported"),
        (
            {"file": ("cat.png", PNG), "expires_after": {"anchor": "created_at", "seconds": 5}},
            "expires_after[seconds]",
            "invalid_value",
        ),
    ],
)
def test_an_upload_that_cannot_be_taken_raises_what_the_vendors_would(
    options: dict[str, Any], param: str, code: str
) -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            with pytest.raises(openai.BadRequestError) as refusal:
                await client.files.create(**{"purpose": "vision", **options})

            assert (refusal.value.param, refusal.value.code) == (param, code)
            assert refusal.value.type == "invalid_request_error"

    run_over_sockets(main())


def test_a_file_that_there_is_not_raises_what_the_vendors_would() -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            for asking in (client.files.retrieve, client.files.content, client.files.delete):
                with pytest.raises(openai.NotFoundError) as refusal:
                    await asking("file_none")
                assert refusal.value.code == "file_not_found"
            with pytest.raises(openai.AuthenticationError):
                await client.with_options(api_key="sk-wrong").files.retrieve("file_none")

    run_over_sockets(main())
