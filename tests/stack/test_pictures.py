"""Pictures through the real stack: from the vendor's client, over the file store on NATS, to a model's endpoint."""

import asyncio
import base64
from collections.abc import Sequence
from pathlib import Path

import openai

from agent.endpoint.stand_in import Asked, Hang, Reply, StandIn
from agent.endpoint.streams import Answer, sse
from agent.endpoint.test_images_on_the_wire import Part, parts_in
from images.pictures import drawn, encoded
from stack.conftest import AGENTS
from support.running_stack import RunningStack

SEEN = sse(Answer().message("A red square.", "final_answer").completed())
BEGUN = sse(Answer().message("Once upon a time", "final_answer").events[:5])
PHOTOGRAPH = encoded(drawn(1800, 2400), "JPEG")
LEFT_LIMIT_S = 5.0


def shown_in(asked: Asked) -> list[list[str | Part]]:
    """Message by message."""
    contents = [item["content"] for item in asked.body["input"]]
    return [parts_in(content) for content in contents if content[0]["type"] != "output_text"]


async def asks(client: openai.AsyncOpenAI, endpoint: StandIn) -> None:
    """Each level by itself, then a file in the response that follows, then an answer that its client leaves."""
    url = f"data:image/jpeg;base64,{base64.b64encode(PHOTOGRAPH).decode()}"
    last = ""
    for detail in ("auto", "low", "high", "original"):
        content = [{"type": "input_image", "image_url": url, "detail": detail}]
        asked = {"model": "gpt-5.5", "input": [{"role": "user", "content": content}]}
        last = (await client.responses.create(**asked)).id  # type: ignore[call-overload]  # as its types spell it
    file = await client.files.create(file=("p.jpg", PHOTOGRAPH, "image/jpeg"), purpose="vision")
    content = [{"type": "input_image", "file_id": file.id, "detail": "low"}]
    asked = {"model": "gpt-5.5", "input": [{"role": "user", "content": content}], "previous_response_id": last}
    await client.responses.create(**asked)  # type: ignore[call-overload]
    stream = await client.responses.create(model="gpt-5.5", input="Tell me a story.", stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    async with asyncio.timeout(LEFT_LIMIT_S):
        await endpoint.left.wait()


def test_a_picture_reaches_the_endpoint_as_it_was_asked_for_and_who_leaves_stops_the_model(tmp_path: Path) -> None:
    async def main() -> Sequence[Asked]:
        async with StandIn(*[SEEN] * 5, Reply((BEGUN, Hang()))) as endpoint:
            environ = {"TRUNKLINE_MODEL_URL": endpoint.url, "TRUNKLINE_MODEL_NAME": "gpt-5.5"}
            engines = ("--engine", "model=responses", "--engine", "stt=scripted", "--engine", "tts=tone")
            stack = RunningStack(tmp_path, "--agent", f"{AGENTS}:frontdesk", *engines, environ=environ)
            await asyncio.to_thread(stack.start)
            try:
                url = f"{stack.file.url.rstrip('/')}/v1"
                async with openai.AsyncOpenAI(base_url=url, api_key=stack.file.key, max_retries=0) as client:
                    await asks(client, endpoint)
            finally:
                assert await asyncio.to_thread(stack.stop) == 0
        return endpoint.asked

    auto, low, high, original, later, left = asyncio.run(main())

    assert shown_in(auto) == [[("auto", (1800, 2400))]]
    assert shown_in(low) == [[("low", (384, 512))]]
    assert shown_in(high) == [[("high", (1368, 1824))]]
    assert shown_in(original) == [[("original", (1800, 2400))]]
    assert shown_in(later) == [[("original", (1800, 2400))], [("low", (384, 512))]]
    assert later.body["input"][1]["phase"] == "final_answer"
    assert left.body["input"][0]["content"] == "Tell me a story."
