"""A client's picture is checked, stored once, and told by its id; what can't be had is refused by the client's name."""

import asyncio
import base64
from unittest import mock

import msgspec
import pytest

from support.pictures import animated, black, data_url, picture
from trunkline.gateway.picture_checks import PictureChecks
from trunkline.gateway.picture_urls import PictureHosts, PictureUrls
from trunkline.gateway.pictures import KNOWN_PICTURES, KNOWN_S, Pictures
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.image import ShownImage
from trunkline.record import FileFacts, MemoryFileStore, StoreUnavailable

LIMIT_BYTES = 200_000
PARAM = "item.content[1].image_url"
PNG = picture()


class Given:
    """Pictures over a store in memory; now_s moves when told."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self.files = MemoryFileStore(lambda: self.now_s)
        urls = PictureUrls(PictureHosts(), LIMIT_BYTES)
        self.pictures = Pictures(self.files, PictureChecks(LIMIT_BYTES), urls, wall_s=lambda: self.now_s)

    async def url(self, url: str) -> ShownImage:
        return await self.pictures.take(image_url=url, file_id=None, detail="high", param=PARAM)

    async def id(self, file_id: str) -> ShownImage:
        return await self.pictures.take(image_url=None, file_id=file_id, detail="auto", param=PARAM)


def refusal(url: str) -> BadInput:
    async def main() -> BadInput:
        given = Given()
        with pytest.raises(BadInput) as refused:
            await given.url(url)
        assert await given.files.all() == []
        return refused.value

    refused = asyncio.run(main())
    assert refused.param == PARAM
    return refused


def test_a_picture_in_a_message_is_stored_and_told_by_its_id() -> None:
    async def main() -> None:
        given = Given()
        shown = await given.url(data_url(picture("JPEG", orientation=6), "image/jpeg"))

        assert (shown.at, shown.detail, shown.media_type) == (0, "high", "image/jpeg")
        assert (shown.width, shown.height) == (30, 40)
        (facts,) = await given.files.all()
        assert facts == FileFacts(shown.file, "", "inline", "image/jpeg", shown.size, 1_000_000, 0, 30, 40)
        data = await given.files.get(shown.file)
        assert data is not None
        assert len(data) == shown.size

    asyncio.run(main())


def test_the_bytes_say_what_it_is_where_its_label_is_of_another_format() -> None:
    async def main() -> None:
        shown = await Given().url(data_url(picture("JPEG"), "image/png"))

        assert shown.media_type == "image/jpeg"

    asyncio.run(main())


def test_a_picture_that_comes_again_is_stored_once() -> None:
    async def main() -> None:
        given = Given()
        first = await given.url(data_url(PNG))
        again = await given.pictures.take(image_url=data_url(PNG), file_id=None, detail="low", param=PARAM)

        assert again == msgspec.structs.replace(first, detail="low")
        assert len(await given.files.all()) == 1

    asyncio.run(main())


@pytest.mark.parametrize("why", ["it was deleted", "it was stored a day ago", "many others came meanwhile"])
def test_a_picture_that_may_be_gone_is_stored_anew(why: str) -> None:
    async def main() -> None:
        given = Given()
        first = await given.url(data_url(PNG))
        if why == "it was deleted":
            await given.files.delete(first.file)
        elif why == "it was stored a day ago":
            given.now_s += KNOWN_S + 1
        else:
            for width in range(1, KNOWN_PICTURES + 1):
                await given.url(data_url(black(width, 1)))
        again = await given.url(data_url(PNG))

        assert again.file != first.file
        assert await given.files.get(again.file) == PNG

    asyncio.run(main())


def test_an_uploaded_file_is_shown_by_its_id() -> None:
    async def main() -> None:
        given = Given()
        facts = FileFacts("file_1", "cat.png", "vision", "image/png", len(PNG), 1, 0, 40, 30)
        await given.files.put(facts, PNG)

        assert await given.id("file_1") == ShownImage("file_1", 0, "auto", "image/png", 40, 30, len(PNG))

    asyncio.run(main())


@pytest.mark.parametrize("file_id", ["file_none", "", "../etc/passwd", "a.b.*", "x" * 10_000])
def test_a_file_that_there_is_not_is_refused(file_id: str) -> None:
    async def main() -> None:
        with pytest.raises(BadInput) as refused:
            await Given().id(file_id)

        assert (refused.value.param, refused.value.code) == (PARAM, "image_file_not_found")
        assert len(str(refused.value)) < 200

    asyncio.run(main())


def test_a_file_of_another_purpose_is_no_picture() -> None:
    async def main() -> None:
        given = Given()
        await given.files.put(FileFacts("file_1", "a.pdf", "user_data", "application/pdf", 3, 1), b"pdf")
        with pytest.raises(BadInput, match="purpose vision") as refused:
            await given.id("file_1")

        assert refused.value.param == PARAM

    asyncio.run(main())


@pytest.mark.parametrize(("url", "file"), [(None, None), (data_url(PNG), "file_1")])
def test_a_picture_has_one_source(url: str | None, file: str | None) -> None:
    async def main() -> None:
        with pytest.raises(BadInput, match="one of image_url and file_id"):
            await Given().pictures.take(image_url=url, file_id=file, detail="auto", param=PARAM)

    asyncio.run(main())


ENCODED = base64.b64encode(PNG).decode()
BAD: dict[str, tuple[str, str]] = {
    "no url": ("cat.png", "invalid_image_url"),
    "nothing": ("", "invalid_image_url"),
    "another scheme": ("file:///etc/passwd", "invalid_image_url"),
    "a web address": ("https://pictures.example/cat.png", "not_supported"),
    "data that isn't base64": (f"data:image/png,{ENCODED}", "invalid_image_url"),
    "data without a comma": ("data:image/png;base64", "invalid_image_url"),
    "data of another type": (f"data:text/html;base64,{ENCODED}", "unsupported_image_media_type"),
    "a drawing": ("data:image/svg+xml;base64,PHN2Zy8+", "unsupported_image_media_type"),
    "data of no type": (f"data:;base64,{ENCODED}", "unsupported_image_media_type"),
    "torn base64": (f"data:image/png;base64,{ENCODED[:-3]}", "invalid_base64_image"),
    "base64 with rubbish": (f"data:image/png;base64,{ENCODED[:40]}?{ENCODED[41:]}", "invalid_base64_image"),
    "base64 beyond ASCII": ("data:image/png;base64,äöü=", "invalid_base64_image"),
    "a text that is called a picture": (data_url(b"hello"), "invalid_image_format"),
    "no bytes": ("data:image/png;base64,", "empty_image_file"),
    "too many bytes": (data_url(bytes(LIMIT_BYTES + 1)), "image_file_too_large"),
    "too many pixels": (data_url(black(8_000, 8_000)), "image_too_large"),
    "a torn picture": (data_url(PNG[:-20]), "image_parse_error"),
    "what moves": (data_url(animated("GIF"), "image/gif"), "invalid_image_format"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_shown_is_refused_by_name_and_stored_nowhere(what: str) -> None:
    url, code = BAD[what]
    refused = refusal(url)

    assert refused.code == code
    assert len(str(refused)) < 300


def test_a_store_that_is_away_is_told() -> None:
    class Away(MemoryFileStore):
        async def put(self, facts: FileFacts, data: bytes) -> None:
            raise StoreUnavailable(facts.id, 1.0)

    async def main() -> None:
        pictures = Pictures(Away(), PictureChecks(LIMIT_BYTES), PictureUrls(PictureHosts(), LIMIT_BYTES))
        for _ in range(2):  # and it isn't believed to be stored
            with pytest.raises(StoreUnavailable):
                await pictures.take(image_url=data_url(PNG), file_id=None, detail="auto", param=PARAM)

    asyncio.run(main())


def test_who_brings_more_pictures_than_can_be_held_is_asked_to_come_again() -> None:
    waits, goes_on = asyncio.Event(), asyncio.Event()
    large = data_url(picture("PNG", 200, 200))
    assert LIMIT_BYTES / 2 < len(large) < LIMIT_BYTES

    class Files(MemoryFileStore):
        async def put(self, facts: FileFacts, data: bytes) -> None:
            waits.set()
            await goes_on.wait()
            await super().put(facts, data)

    async def main() -> None:
        given = Given()
        given.pictures = Pictures(Files(), PictureChecks(LIMIT_BYTES), PictureUrls(PictureHosts(), LIMIT_BYTES))
        first = asyncio.create_task(given.url(large))
        await waits.wait()
        with pytest.raises(StageUnavailable):
            await given.url(large)
        with pytest.raises(StageUnavailable):
            await given.url("https://a.example/cat.png")
        goes_on.set()
        await first

        assert (await given.url(large)).media_type == "image/png"

    with mock.patch("trunkline.gateway.pictures.TAKEN_IN", 1):
        asyncio.run(main())
