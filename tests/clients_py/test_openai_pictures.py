"""Pictures as the vendor's own clients show them: what the model is shown, and what the client is told of them."""

import pytest

from clients_py.scene import Desk, line
from clients_py.sdk import sdk  # first: it turns the SDK's tracing off
from clients_py.test_agents_realtime import BRIEF
from support.pictures import data_url, picture
from support.virtual import run_over_sockets
from trunkline.agent.models.seam import MessageItem
from trunkline.proto.image import ShownImage

pytestmark = pytest.mark.clients

URL = data_url(picture("JPEG", 320, 200), "image/jpeg")


def shown(desk: Desk) -> list[tuple[str, str, tuple[ShownImage, ...]]]:
    """Role, words and pictures of what the model was asked about last."""
    items = desk.asked.requests[-1].items
    return [(item.role, item.text, item.images) for item in items if isinstance(item, MessageItem)]


def test_the_openai_package_shows_a_picture_beside_its_words() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.update(output_modalities=["text"])
            await mine.call.conversation.item.create(
                item={
                    "type": "message",
                    "id": "item_1",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "What is this?"},
                        {"type": "input_image", "image_url": URL, "detail": "low"},
                    ],
                }
            )
            await mine.call.conversation.item.retrieve(item_id="item_1")
            told = (await mine.until("conversation.item.retrieved")).item
            await mine.call.response.create()
            response = await mine.done()

            [(role, text, (image,))] = shown(desk)
            assert (role, text, image.at, image.detail) == ("user", "What is this?", 13, "low")
            assert (image.media_type, image.width, image.height) == ("image/jpeg", 320, 200)
            assert [part.type for part in told.content] == ["input_text", "input_image"]
            assert (told.content[1].file_id, told.content[1].image_url) == (image.file, None)
            assert response.status == "completed"

    run_over_sockets(main())


def test_the_openai_package_is_told_what_is_wrong_with_a_picture() -> None:
    async def main() -> None:
        async with Desk() as desk, line(desk) as mine:
            await mine.call.conversation.item.create(
                event_id="mine",
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}],
                },
            )
            error = await mine.error()

            assert (error.param, error.event_id) == ("item.content[0].image_url", "mine")

    run_over_sockets(main())


def test_the_agents_sdk_shows_a_picture_and_has_it_in_its_history() -> None:
    async def main() -> None:
        async with Desk() as desk, sdk(desk.addresses[0], BRIEF, output_modalities=["text"]) as mine:
            await mine.session.send_message(
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": URL, "detail": "high"},
                        {"type": "input_text", "text": "What is this?"},
                    ],
                }
            )
            await mine.done()

            [(role, text, (image,))] = shown(desk)
            assert (role, text, image.at, image.detail) == ("user", "What is this?", 0, "high")
            (message,) = [item for item in mine.session._history if item.type == "message" and item.role == "user"]
            assert [part.type for part in message.content] == ["input_image", "input_text"]

    run_over_sockets(main())
