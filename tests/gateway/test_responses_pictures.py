"""Pictures in a request: taken in once, referred to from there on, told to the model where they stand in the text."""

import base64
import struct
import zlib

import msgspec

from gateway.generating import AUTHORISED, DONE, Asker, Body, asking, call
from trunkline.proto.generation import GeneratedText
from trunkline.record import MemoryBucket

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def png(width: int, height: int) -> bytes:
    """A grey picture, by the format's own rules (RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def shown(width: int, height: int, **fields: object) -> Body:
    url = "data:image/png;base64," + base64.b64encode(png(width, height)).decode()
    return {"type": "input_image", "image_url": url, **fields}


def text(words: str) -> Body:
    return {"type": "input_text", "text": words}


def test_a_picture_stands_where_it_was_shown_with_its_detail() -> None:
    async def scenario(asker: Asker) -> None:
        details = ("low", "high", "original", "auto")
        parts = [text("Look: "), *[shown(40 + n, 30, detail=detail) for n, detail in enumerate(details)], text("Well?")]
        await asker.ask([{"role": "user", "content": [*parts, shown(9, 9)]}])

        (item,) = asker.mind.prompt.items
        assert item.text == "Look: Well?"
        assert [(image.at, image.detail, image.width, image.height) for image in item.images] == [
            (6, "low", 40, 30),
            (6, "high", 41, 30),
            (6, "original", 42, 30),
            (6, "auto", 43, 30),
            (11, "auto", 9, 9),
        ]
        assert item.images[0].media_type == "image/png"
        assert await asker.server.files.get(item.images[0].file) == png(40, 30)

    asking(scenario)


def test_a_tools_picture_is_shown_beside_its_words() -> None:
    async def scenario(asker: Asker) -> None:
        one = await asker.ask("Look", tools=[TOOL])
        output = {"type": "function_call_output", "call_id": "call_1", "output": [text("A cat."), shown(5, 5)]}
        await asker.ask([output], previous_response_id=one["id"], tools=[TOOL])

        told = asker.mind.prompt.items[-1]
        assert (told.kind, told.text, told.images[0].at, told.images[0].width) == (
            "function_call_output",
            "A cat.",
            6,
            5,
        )

    asking(scenario, [call("look", "{}"), DONE], [GeneratedText("Fine.", "final_answer"), DONE])


def test_a_conversation_keeps_the_reference_and_never_the_bytes() -> None:
    async def scenario(asker: Asker) -> None:
        one = await asker.ask([{"role": "user", "content": [text("Look"), shown(200, 200, detail="high")]}])
        asker.mind.prompts.clear()
        await asker.ask("And now?", previous_response_id=one["id"])
        async with asker.server.client.get(f"/v1/responses/{one['id']}/input_items", headers=AUTHORISED) as answer:
            listed = await answer.json()

        (image,) = asker.mind.prompt.items[0].images
        assert (image.at, image.detail, image.width) == (4, "high", 200)
        assert listed["data"][0]["content"][1] == {
            "type": "input_image",
            "detail": "high",
            "file_id": image.file,
            "image_url": None,
        }
        responses = asker.server.responses
        assert isinstance(responses, MemoryBucket)
        assert not any(png(200, 200)[-60:-12] in value for _, value in responses.values.values())

    asking(scenario)


def test_a_picture_is_shown_again_by_its_file() -> None:
    async def scenario(asker: Asker) -> None:
        await asker.ask([{"role": "user", "content": [shown(7, 7)]}])
        file = asker.mind.prompt.items[0].images[0].file
        part = {"type": "input_image", "file_id": file, "detail": "low", "image_url": None}
        await asker.ask([{"role": "user", "content": [part]}])

        (image,) = asker.mind.prompt.items[0].images
        assert (image.file, image.detail, image.width) == (file, "low", 7)

    asking(scenario)


def test_a_picture_that_cannot_be_had_is_refused_where_it_stands() -> None:
    wrong: list[tuple[Body, str, str]] = [
        ({"type": "input_image", "file_id": "file_x"}, "file_id", "image_file_not_found"),
        ({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}, "image_url", ""),
        ({"type": "input_image", "image_url": "ftp://example.com/a.png"}, "image_url", "invalid_image_url"),
        ({"type": "input_image"}, "image_url", "missing_required_parameter"),
    ]

    async def scenario(asker: Asker) -> None:
        for part, field, code in wrong:
            error = await asker.refused([{"role": "user", "content": [text("Look"), part]}])

            assert error["param"] == f"input[0].content[1].{field}"
            assert code in ("", error["code"])
        system = await asker.refused([{"role": "system", "content": [shown(5, 5)]}])
        assert (system["param"], system["code"]) == ("input[0].content[0].type", "not_supported")
        assert asker.worker.sessions == []

    asking(scenario)


def test_pictures_of_a_request_are_bounded() -> None:
    async def scenario(asker: Asker) -> None:
        parts = [shown(5, 5) for _ in range(65)]
        error = await asker.refused([{"role": "user", "content": parts}])

        assert error["param"] == "input[0].content[64]"
        assert msgspec.json.encode(error)

    asking(scenario)
