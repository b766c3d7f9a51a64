"""What a model's endpoint is sent of pictures: the detail that was asked for, the size that it means, at its place."""

import asyncio
import base64
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from agent.endpoint.stand_in import Asked, Reply, StandIn, events_of, refusal
from agent.endpoint.streams import Answer, chat, chat_sse, sse
from images.pictures import drawn, encoded, facts_of, opened, shown
from support.virtual import run_over_sockets
from trunkline.agent.models import pictures
from trunkline.agent.models.pictures import GONE, LATE, LEFT_OUT, UNREADABLE, UNSEEN
from trunkline.agent.models.seam import HistoryItem, MessageItem, ModelRequest, ToolCallItem, ToolOutputItem
from trunkline.images import scaling
from trunkline.images.detail import KEEN
from trunkline.proto.image import Detail, ShownImage
from trunkline.record import MemoryFileStore, StoreUnavailable

SEEN = {
    "responses": sse(Answer().message("I see.", "final_answer").completed()),
    "chat": chat_sse(chat("I see.")),
}
Part = tuple[str, tuple[int, int]]  # detail, and the size of what came
DETAILS: tuple[Detail, ...] = ("auto", "low", "high", "original")


async def store_of(*kept: tuple[ShownImage, bytes]) -> MemoryFileStore:
    files = MemoryFileStore()
    for image, data in kept:
        await files.put(facts_of(image, data), data)
    return files


def asked_with(
    items: Sequence[HistoryItem], *kept: tuple[ShownImage, bytes], engine: str = "responses", **settings: Any
) -> Asked:
    """The request that a round with these items makes."""

    async def main() -> Asked:
        async with StandIn(SEEN[engine]) as endpoint:
            model = endpoint.model(engine, await store_of(*kept), **settings)
            await events_of(model, ModelRequest("", tuple(items), (), "rtc_00_a"))
        return endpoint.asked[-1]

    return run_over_sockets(main())


def parts_in(content: list[dict[str, Any]]) -> list[str | Part]:
    """As they stand in either API."""
    return [read_part(part) for part in content]


def read_part(part: dict[str, Any]) -> str | Part:
    match part:
        case {"type": "input_text" | "text", "text": str(text)}:
            return text
        case {"type": "input_image", "image_url": str(url), "detail": str(detail)}:
            return detail, opened(bytes_of(url)).size
        case {"type": "image_url", "image_url": {"url": str(url), "detail": str(detail)}}:
            return detail, opened(bytes_of(url)).size
    raise AssertionError(f"not a part: {part}")


def bytes_of(url: str) -> bytes:
    head, _, data = url.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return base64.b64decode(data, validate=True)


def content_of(asked: Asked) -> list[str | Part]:
    """Of the newest message."""
    items = asked.body.get("input") or asked.body["messages"]
    return parts_in(items[-1]["content"])


PHOTOGRAPH = encoded(drawn(1800, 2400), "JPEG")
WIDE = encoded(drawn(3000, 600), "JPEG")
SMALL = encoded(drawn(300, 200))
SIZES = [
    ("gpt-5.5", PHOTOGRAPH, [(1800, 2400), (384, 512), (1368, 1824), (1800, 2400)]),
    ("gpt-5.5", WIDE, [(3000, 600), (512, 102), (2048, 410), (3000, 600)]),
    ("gpt-5.4", PHOTOGRAPH, [(1368, 1824), (384, 512), (1368, 1824), (1800, 2400)]),
    ("gpt-5.2", PHOTOGRAPH, [(1056, 1408), (384, 512), (1056, 1408), (1056, 1408)]),
    ("o4-mini", WIDE, [(2048, 410), (512, 102), (2048, 410), (2048, 410)]),
    ("gpt-4o", PHOTOGRAPH, [(768, 1024), (384, 512), (768, 1024), (768, 1024)]),
    ("gpt-4.1", WIDE, [(2048, 410), (512, 102), (2048, 410), (2048, 410)]),
    ("a-model-of-my-own", PHOTOGRAPH, [(1056, 1408), (384, 512), (1056, 1408), (1056, 1408)]),
    ("gpt-5.5", SMALL, [(300, 200)] * 4),
    ("gpt-4o", SMALL, [(300, 200)] * 4),
]
KNOW_ORIGINAL = ("gpt-5.5", "gpt-5.4")


@pytest.mark.parametrize(("model", "data", "sizes"), SIZES)
def test_each_level_has_its_detail_and_its_size_at_a_responses_endpoint(
    model: str, data: bytes, sizes: list[tuple[int, int]]
) -> None:
    width, height = opened(data).size
    images = tuple(shown("file_1", width, height, detail) for detail in DETAILS)

    asked = asked_with([MessageItem("user", None, "", images)], (images[0], data), model_name=model)

    original = "original" if model in KNOW_ORIGINAL else "high"
    assert content_of(asked) == list(zip(("auto", "low", "high", original), sizes, strict=True))


@pytest.mark.parametrize("model", ["gpt-5.5", "gpt-5.2", "gpt-4o"])
def test_a_chat_endpoint_is_asked_for_high_where_original_is_wished_for(model: str) -> None:
    images = tuple(shown("file_1", 1800, 2400, detail) for detail in DETAILS)

    asked = asked_with(
        [MessageItem("user", None, "", images)], (images[0], PHOTOGRAPH), engine="chat", model_name=model
    )

    sizes = next(sizes for name, data, sizes in SIZES if (name, data) == (model, PHOTOGRAPH))
    assert content_of(asked) == list(zip(("auto", "low", "high", "high"), [*sizes[:3], sizes[2]], strict=True))


@pytest.mark.parametrize("engine", ["responses", "chat"])
def test_pictures_stand_where_they_stood_in_the_text(engine: str) -> None:
    first, second = shown("file_1", 300, 200, "low", at=5), shown("file_1", 300, 200, "high", at=10)
    beyond = shown("file_1", 300, 200, "low", at=99)  # of a text that was shortened

    asked = asked_with(
        [MessageItem("user", None, "This and that.", (first, second, beyond))], (first, SMALL), engine=engine
    )

    low, high = ("low", (300, 200)), ("high", (300, 200))
    assert content_of(asked) == ["This ", low, "and t", high, "hat.", low]


@pytest.mark.parametrize("engine", ["responses", "chat"])
def test_phases_and_texts_around_a_picture_are_unchanged(engine: str) -> None:
    image = shown("file_1", 300, 200)
    items = (
        MessageItem("user", None, "Look.", (image,)),
        MessageItem("assistant", "commentary", "I am looking."),
        MessageItem("assistant", "final_answer", "A square."),
        MessageItem("user", None, "Thanks."),
    )

    asked = asked_with(items, (image, SMALL), engine=engine)

    told = asked.body.get("input") or asked.body["messages"]
    assert [item.get("phase") for item in told] == [None, "commentary", "final_answer", None]
    assert (told[0]["content"][1]["text"], told[3]["content"]) == ("Look.", "Thanks.")


def test_what_a_tool_shows_is_part_of_its_output_at_a_responses_endpoint() -> None:
    image = shown("file_1", 300, 200, "low", at=2)
    items = (ToolCallItem("call_1", "draw", "{}"), ToolOutputItem("call_1", "{}", "ok", (image,)))

    asked = asked_with(items, (image, SMALL))

    output = asked.body["input"][1]
    assert (output["type"], output["call_id"]) == ("function_call_output", "call_1")
    assert parts_in(output["output"]) == ["{}", ("low", (300, 200))]


def test_what_a_tool_shows_follows_all_outputs_at_a_chat_endpoint() -> None:
    image = shown("file_1", 300, 200, "low")
    items = (
        ToolCallItem("call_1", "draw", "{}"),
        ToolCallItem("call_2", "lookup", "{}"),
        ToolOutputItem("call_1", "Drawn.", "ok", (image,)),
        ToolOutputItem("call_2", "Found.", "ok"),
        MessageItem("user", None, "Well?"),
    )

    messages = asked_with(items, (image, SMALL), engine="chat").body["messages"]

    assert [message["role"] for message in messages] == ["assistant", "tool", "tool", "user", "user"]
    assert [messages[1]["content"], messages[2]["content"], messages[4]["content"]] == ["Drawn.", "Found.", "Well?"]
    assert parts_in(messages[3]["content"]) == ["(What the tool draw gave beside its words:)", ("low", (300, 200))]


class Unavailable(MemoryFileStore):
    async def get(self, file: str) -> bytes | None:
        raise StoreUnavailable("files", 5.0)


@pytest.mark.parametrize("engine", ["responses", "chat"])
def test_a_picture_that_cant_be_shown_is_told_in_words_and_the_round_goes_on(engine: str) -> None:
    gone, broken = shown("file_gone", 300, 200, at=5), shown("file_broken", 300, 200, at=5)

    asked = asked_with([MessageItem("user", None, "Look.", (gone, broken))], (broken, SMALL[:60]), engine=engine)

    assert content_of(asked) == ["Look.", GONE, UNREADABLE]


def test_a_file_store_that_is_away_holds_up_nothing() -> None:
    async def main() -> Asked:
        async with StandIn(SEEN["responses"]) as endpoint:
            model = endpoint.model(files=Unavailable())
            await events_of(
                model, ModelRequest("", (MessageItem("user", None, "", (shown("file_1", 9, 9),)),), (), "rtc_00_a")
            )
        return endpoint.asked[-1]

    assert content_of(run_over_sockets(main())) == [LATE]


def test_a_model_without_eyes_is_told_so() -> None:
    image = shown("file_1", 300, 200)

    asked = asked_with([MessageItem("user", None, "", (image,))], (image, SMALL), model_pictures="omit")

    assert content_of(asked) == [UNSEEN]


def test_an_endpoint_that_refuses_pictures_says_which_setting_helps() -> None:
    async def main() -> str:
        async with StandIn(refusal(400, "image input is not supported")) as endpoint:
            with pytest.raises(Exception, match="TRUNKLINE_MODEL_PICTURES=omit") as failed:
                await events_of(endpoint.model())
            return str(failed.value)

    assert "image input is not supported" in run_over_sockets(main())


def test_of_too_many_pictures_the_newest_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ROUND_PICTURES", 2)
    images = tuple(shown(f"file_{n}", 300, 200, "low") for n in range(3))

    asked = asked_with(
        [MessageItem("user", None, "", (image,)) for image in images], *((image, SMALL) for image in images)
    )

    contents = [parts_in(item["content"]) for item in asked.body["input"]]
    assert contents == [[LEFT_OUT], [("low", (300, 200))], [("low", (300, 200))]]


def test_of_too_many_bytes_the_newest_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ROUND_BYTES", len(SMALL) * 2)
    images = tuple(shown(f"file_{n}", 300, 200, "low") for n in range(3))

    asked = asked_with([MessageItem("user", None, "", images)], *((image, SMALL) for image in images))

    assert content_of(asked) == [LEFT_OUT, LEFT_OUT, ("low", (300, 200))]


@pytest.mark.parametrize("kept_bytes", [pictures.KEPT_BYTES, 0])
def test_asking_again_prepares_no_picture_again(monkeypatch: pytest.MonkeyPatch, kept_bytes: int) -> None:
    scaled: list[bytes] = []

    def counted(data: bytes, target: scaling.Rule) -> scaling.Scaled:
        scaled.append(data)
        return scaling.scale(data, target)

    monkeypatch.setattr(pictures, "scale", counted)
    monkeypatch.setattr(pictures, "KEPT_BYTES", kept_bytes)
    image = shown("file_1", 300, 200)

    async def main() -> list[Asked]:
        async with StandIn(refusal(503, "later"), refusal(503, "later"), Reply((SEEN["responses"],))) as endpoint:
            request = ModelRequest("", (MessageItem("user", None, "", (image,)),), (), "rtc_00_a")
            model = endpoint.model(files=await store_of((image, SMALL)))
            await events_of(model, request)
            await events_of(model, request)
        return endpoint.asked

    asked = run_over_sockets(main())

    assert [content_of(one) for one in asked] == [[("auto", (300, 200))]] * 4
    assert len(scaled) == (1 if kept_bytes else 2)


def test_another_endpoint_gets_the_size_for_its_own_model() -> None:
    image = shown("file_1", 1800, 2400, "original")

    async def main() -> list[Asked]:
        async with StandIn(refusal(404, "no such model", "model_not_found"), SEEN["responses"]) as endpoint:
            model = endpoint.model(files=await store_of((image, PHOTOGRAPH)), model_fallbacks="gpt-4o")
            await events_of(model, ModelRequest("", (MessageItem("user", None, "", (image,)),), (), "rtc_00_a"))
        return endpoint.asked

    asked = run_over_sockets(main())

    assert [content_of(one) for one in asked] == [[("original", (1800, 2400))], [("high", (768, 1024))]]


def test_a_picture_that_takes_too_long_is_there_for_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = threading.Event()
    scaled: list[bytes] = []

    def slow(data: bytes, target: scaling.Rule) -> scaling.Scaled:
        scaled.append(data)
        may_go_on.wait(5.0)
        return scaling.scale(data, target)

    monkeypatch.setattr(pictures, "scale", slow)
    monkeypatch.setattr(pictures, "PREPARING_S", 0.05)
    image = shown("file_1", 300, 200)

    async def main() -> list[Asked]:
        async with StandIn(SEEN["responses"]) as endpoint:
            request = ModelRequest("", (MessageItem("user", None, "", (image,)),), (), "rtc_00_a")
            model = endpoint.model(files=await store_of((image, SMALL)))
            await events_of(model, request)
            may_go_on.set()
            await asyncio.sleep(0.5)
            await events_of(model, request)
        return endpoint.asked

    asked = asyncio.run(main())  # real time: the thread is slow, not the loop

    assert [content_of(one) for one in asked] == [[LATE], [("auto", (300, 200))]]
    assert len(scaled) == 1


def test_no_more_files_are_held_than_can_be_scaled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = threading.Event()
    given: list[str] = []

    def slow(data: bytes, target: scaling.Rule) -> scaling.Scaled:
        may_go_on.wait(5.0)
        return scaling.scale(data, target)

    class Files(MemoryFileStore):
        async def get(self, file: str) -> bytes | None:
            given.append(file)
            return SMALL

    monkeypatch.setattr(pictures, "scale", slow)

    async def main() -> list[pictures.Shown]:
        mine = pictures.Pictures(Files())
        rounds = [asyncio.create_task(mine.prepare([shown(f"file_{at}", 300, 200)], KEEN)) for at in range(6)]
        await asyncio.sleep(0.2)
        assert len(given) == pictures.HELD_AT_ONCE
        may_go_on.set()
        found = await asyncio.gather(*rounds)
        mine.close()
        return found

    found = asyncio.run(main())  # real time, as above

    assert all(isinstance(picture, pictures.Picture) for one in found for picture in one.values())
    assert len(given) == len(found)
