"""A picture shown over Realtime, over all services: at a stand-in for the model's endpoint and in the record, and there
again after an agent and after a gateway was lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from agent.endpoint.stand_in import StandIn
from agent.endpoint.streams import Answer, sse
from agent.endpoint.test_images_on_the_wire import parts_in
from images.pictures import drawn, encoded
from support.pictures import data_url
from support.virtual import run_over_sockets
from system.test_client_tools import lose_agent, record_of
from system.test_items import again, create, respond
from system.test_session import DESKS, client
from system.whole import KEY, Whole

PHOTO = encoded(drawn(1800, 2400), "JPEG")
SEES = sse(Answer().message("I see a lamp.", "final_answer").completed())
SIZES = {"auto": (1800, 2400), "low": (384, 512), "high": (1368, 1824)}


def shows(item: str, detail: str, text: str = "What is this?") -> dict[str, object]:
    image = {"type": "input_image", "image_url": data_url(PHOTO, "image/jpeg"), "detail": detail}
    words = [{"type": "input_text", "text": text}] if text else []
    return {"type": "message", "id": item, "role": "user", "content": [*words, image]}


class Sight:
    """endpoint: the stand-in, which every agent asks."""

    def __init__(self, whole: Whole, endpoint: StandIn) -> None:
        self.whole = whole
        self.endpoint = endpoint

    def seen(self) -> list[list[Any]]:
        """What the last request shows, message by message of the user's."""
        return [
            parts_in(item["content"]) for item in self.endpoint.asked[-1].body["input"] if item.get("role") == "user"
        ]


@asynccontextmanager
async def sight(**options: Any) -> AsyncIterator[Sight]:
    async with StandIn(SEES) as endpoint:
        whole = Whole(agent_file=DESKS, **options)
        whole.model = endpoint.model("responses", whole.files)
        async with whole:
            yield Sight(whole, endpoint)


@pytest.mark.parametrize("detail", SIZES)
def test_a_picture_reaches_the_models_endpoint_with_its_detail_and_size(detail: str) -> None:
    async def main() -> None:
        async with sight() as scene, client(scene.whole) as mine:
            await create(mine, shows("u1", detail))
            answer = await respond(mine)

        assert scene.seen() == [["What is this?", (detail, SIZES[detail])]]
        assert answer["output"][0]["content"][0]["transcript"] == "I see a lamp."

    run_over_sockets(main())


def test_the_record_refers_to_a_picture_that_was_shown_alone() -> None:
    async def main() -> None:
        async with sight() as scene:
            async with client(scene.whole) as mine:
                await create(mine, shows("u1", "low", text=""))
                await respond(mine)
            view = await record_of(scene.whole)
            address = f"{scene.whole.addresses[0].base}/v1/calls/{view.call}"
            key = {"Authorization": f"Bearer {KEY}"}
            async with aiohttp.ClientSession() as http, http.get(address, headers=key) as answer:
                page = await answer.json()
            (image,) = view.items["u1"].images
            kept = await scene.whole.files.get(image.file)

        facts = {"at": 0, "detail": "low", "media_type": "image/jpeg", "width": 1800, "height": 2400}
        assert page["items"][0]["images"] == [{"file": image.file, "bytes": len(PHOTO)} | facts]
        assert kept == PHOTO
        assert scene.seen() == [[("low", (384, 512))]]

    run_over_sockets(main())


def test_the_next_agent_and_the_next_gateway_show_the_same_picture() -> None:
    async def main() -> None:
        async with sight(gateways=2) as scene:
            async with client(scene.whole) as mine:
                token = (await mine.until("session.created"))["trunkline"]["resume_token"]
                await create(mine, shows("u1", "high"))
                await respond(mine)
                first = scene.seen()
                await lose_agent(scene.whole)
                await respond(mine)
                second = scene.seen()
                await scene.whole.kill_gateway(0)
            async with again(scene.whole, token) as later:
                told = await later.until("conversation.item.done")
                while told["item"]["id"] != "u1":
                    told = await later.until("conversation.item.done")
                await respond(later)

            assert first == [["What is this?", ("high", (1368, 1824))]]
            assert second == first
            assert scene.seen() == first
            assert [part["type"] for part in told["item"]["content"]] == ["input_text", "input_image"]
            assert told["item"]["content"][1]["detail"] == "high"

    run_over_sockets(main())


def test_a_picture_whose_message_was_deleted_reaches_no_model() -> None:
    async def main() -> None:
        async with sight() as scene, client(scene.whole) as mine:
            await create(mine, shows("u1", "high"))
            await create(mine, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]})
            await mine.socket.send_json({"type": "conversation.item.delete", "item_id": "u1"})
            await mine.until("conversation.item.deleted")
            await respond(mine)

            assert "input_image" not in str(scene.endpoint.asked[-1].body)

    run_over_sockets(main())
