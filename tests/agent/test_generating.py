"""The model asked directly by a request: parts in, words and calls out, and what becomes of one that can't go on."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import msgspec
import pytest

from agent.endpoint.stand_in import Hang, Reply, StandIn, refusal
from agent.endpoint.streams import Answer, sse
from agent.scene import Scene, Watched
from images.pictures import drawn, encoded, facts_of, shown
from support.virtual import run_over_sockets, run_virtual
from trunkline.agent.generating import TEXT_CHARACTERS
from trunkline.agent.generation_failures import failure_of
from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.agent.models.endpoint.options import Endpoint
from trunkline.agent.models.local import LocalModel
from trunkline.agent.models.scripted import Call, Fail, Wait, Words
from trunkline.agent.models.seam import (
    MessageEnded,
    MessageItem,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
    ToolOffer,
    ToolOutputItem,
)
from trunkline.agents import ModelSettings
from trunkline.proto.envelope import Message, attach_number
from trunkline.proto.generation import (
    PART_BYTES,
    PROMPT_LIMIT_BYTES,
    Generate,
    Generated,
    GeneratedCall,
    GeneratedMessageEnded,
    GeneratedText,
    GenerationFailed,
    Prompt,
    PromptPart,
    encode_prompt,
)
from trunkline.proto.placement import Accepted, CallFailed, Declined, Release
from trunkline.proto.response import Converse, Inserted, Turn
from trunkline.proto.tool import DescribedTool
from trunkline.record import MemoryFileStore

REQUEST = "req_00_test"
LOOKUP = DescribedTool("lookup", "Where is my order.", '{"type":"object","properties":{"order":{"type":"string"}}}')
SCHEMA = json.loads(LOOKUP.parameters)
PICTURE = shown("file_1", 640, 480, "high", at=4)


def user(text: str, **given: Any) -> Inserted:
    return Inserted("message", "msg_1", "user", text, **given)


HELLO = Prompt("Be kind.", (user("Hello."),))


class Asker:
    """A gateway that asks the agent of a scene one thing. told: what came back, in order."""

    def __init__(self, scene: Scene, attach: int = 1) -> None:
        self.told: list[Message] = []
        number = attach_number(1, attach)
        self.link = scene.hub.link(
            REQUEST, scene.exchange.address, number, lambda message, _: self.told.append(message)
        )

    async def asks(self, prompt: Prompt | bytes, *, part_bytes: int = PART_BYTES) -> Sequence[Message]:
        data = prompt if isinstance(prompt, bytes) else encode_prompt(prompt)
        parts = [data[at : at + part_bytes] for at in range(0, len(data), part_bytes)]
        return await self.sends(Generate(len(parts), len(data)), *map(PromptPart, parts))

    async def sends(self, *messages: Message) -> Sequence[Message]:
        for message in messages:
            self.link.send(message)
        await asyncio.sleep(1.0)
        return list(self.told)  # more may come while the scene is taken down


def told_by(scene: Callable[[], Scene], prompt: Prompt | bytes, *, part_bytes: int = PART_BYTES) -> Sequence[Message]:
    async def main() -> Sequence[Message]:
        async with scene() as running:
            return await Asker(running).asks(prompt, part_bytes=part_bytes)

    return run_virtual(main())


def refused(prompt: Prompt | bytes) -> GenerationFailed:
    """That nothing but the refusal follows, and that no model was asked."""
    scenes: list[Scene] = []

    def scene() -> Scene:
        scenes.append(Scene())
        return scenes[-1]

    accepted, failure = told_by(scene, prompt)
    assert accepted == Accepted()
    assert isinstance(failure, GenerationFailed)
    assert isinstance(scenes[0].model, Watched)
    assert (failure.bad_request, scenes[0].model.requests) == (True, [])
    return failure


class Told:
    """A model that says what it is given, and keeps what it was asked."""

    name, repeatable = "told", True

    def __init__(self, *events: ModelEvent | Exception) -> None:
        self.events = events
        self.requests: list[ModelRequest] = []

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.requests.append(request)
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event

    async def close(self) -> None:
        """Nothing to close."""


# what is told


def test_what_the_model_says_is_told_as_it_comes() -> None:
    model = Told(
        TextDelta("One ", "commentary"),
        TextDelta("moment.", "commentary"),
        MessageEnded(),
        ToolCall("call_1", "lookup", '{"order":"4"}'),
        RoundDone(75, 12, 64, 4, "", "gpt-5.5"),
    )

    told = told_by(lambda: Scene(model=model), HELLO)

    assert told == [
        Accepted(),
        GeneratedText("One ", "commentary"),
        GeneratedText("moment.", "commentary"),
        GeneratedMessageEnded(),
        GeneratedCall("call_1", "lookup", '{"order":"4"}'),
        Generated(75, 12, 64, 4, "", "gpt-5.5"),
    ]


def test_the_scripted_model_answers_too_and_no_tool_runs_here() -> None:
    script = [[[Words("One moment.", "commentary"), Call("lookup")], [Words("Tomorrow.", "final_answer")]]]
    asked = user("Where is my order?")
    outcome = (
        Inserted("function_call", "fc_1", text="{}", call_id="call_1", name="lookup"),
        Inserted("function_call_output", "fco_1", text="It arrives.", call_id="call_1"),
    )

    async def main() -> tuple[Sequence[Message], Sequence[Message], int]:
        async with Scene(script) as scene:
            first = await Asker(scene).asks(Prompt("", (asked,), (LOOKUP,)))
            second = await Asker(scene, attach=2).asks(Prompt("", (asked, *outcome), (LOOKUP,)))
            return first, second, len(scene.runner.orders)

    first, second, runs = run_virtual(main())

    assert [type(message) for message in first] == [Accepted, GeneratedText, GeneratedCall, Generated]
    assert second == [Accepted(), GeneratedText("Tomorrow.", "final_answer"), Generated()]
    assert runs == 0


def test_a_long_text_goes_in_pieces_that_the_bus_can_carry() -> None:
    text = "ä€😀" * 400_000

    told = told_by(lambda: Scene(model=Told(TextDelta(text), RoundDone())), HELLO)

    pieces = [message.text for message in told if isinstance(message, GeneratedText)]
    assert ("".join(pieces), max(map(len, pieces))) == (text, TEXT_CHARACTERS)
    assert told[-1] == Generated()


def test_what_is_incomplete_says_why() -> None:
    told = told_by(Scene, msgspec.structs.replace(HELLO, max_output_tokens=2))

    assert isinstance(told[-1], Generated)
    assert told[-1].incomplete == "max_output_tokens"


# what the model is asked


def test_the_model_is_asked_exactly_what_was_asked() -> None:
    model = Told(RoundDone())
    prompt = Prompt(
        "Be kind.",
        (
            Inserted("message", "msg_0", "system", "Be brief."),
            user("Whats this?", images=(PICTURE,)),
            Inserted("message", "msg_2", "assistant", "One moment.", "commentary"),
            Inserted("function_call", "fc_1", text="{}", call_id="call_1", name="lookup"),
            Inserted("function_call", "fc_2", text='{"order', call_id="call_2", name="lookup"),
            Inserted("function_call_output", "fco_2", text="two", call_id="call_2", images=(PICTURE,)),
            Inserted("function_call_output", "fco_1", text="one", call_id="call_1"),
            Inserted("message", "msg_3", "assistant", "It is a square.", "final_answer"),
            Inserted("message", "msg_4", "assistant", "Or is it?"),
            user(""),
        ),
        (LOOKUP,),
        "lookup",
        "gpt-5.5",
        False,
        300,
        "none",
        0.5,
        "low",
    )

    told_by(lambda: Scene(model=model), prompt)

    settings = ModelSettings(0.5, 300, "none", "lookup", False, verbosity="low")
    items = (
        MessageItem("system", None, "Be brief."),
        MessageItem("user", None, "Whats this?", (PICTURE,)),
        MessageItem("assistant", "commentary", "One moment."),
        ToolCallItem("call_1", "lookup", "{}"),
        ToolCallItem("call_2", "lookup", '{"order'),
        ToolOutputItem("call_2", "two", "ok", (PICTURE,)),
        ToolOutputItem("call_1", "one", "ok"),
        MessageItem("assistant", "final_answer", "It is a square."),
        MessageItem("assistant", None, "Or is it?"),
        MessageItem("user", None, ""),
    )
    offer = ToolOffer("lookup", LOOKUP.description, SCHEMA)
    assert model.requests == [ModelRequest("Be kind.", items, (offer,), REQUEST, "gpt-5.5", settings)]


@pytest.mark.parametrize("part_bytes", [1, 7, 1000, PART_BYTES])
def test_a_prompt_comes_in_parts(part_bytes: int) -> None:
    model = Told(RoundDone())

    told_by(lambda: Scene(model=model), HELLO, part_bytes=part_bytes)

    assert [request.items for request in model.requests] == [(MessageItem("user", None, "Hello."),)]


def test_the_largest_prompt_is_taken() -> None:
    model = Told(RoundDone())
    empty = len(encode_prompt(Prompt("", (user("x" * 70_000),))))
    text = "x" * (PROMPT_LIMIT_BYTES - empty + 70_000)
    assert len(encode_prompt(Prompt("", (user(text),)))) == PROMPT_LIMIT_BYTES

    told = told_by(lambda: Scene(model=model), Prompt("", (user(text),)))

    assert (told[-1], len(model.requests)) == (Generated(), 1)


def test_the_local_model_says_what_it_was_shown() -> None:
    told = told_by(lambda: Scene(model=LocalModel()), Prompt("", (user("", images=(PICTURE,)),)))

    said = "You showed me a PNG picture of 640 by 480 pixels, at high detail. I can't see pictures."
    assert told == [Accepted(), GeneratedText(said, "final_answer"), Generated()]


# what is refused


@pytest.mark.parametrize(
    ("sent", "allowed"),
    [
        ((Generate(0, 10),), "up to"),
        ((Generate(1, 0),), "up to"),
        ((Generate(40, PROMPT_LIMIT_BYTES + 1),), "up to"),
        ((Generate(11, 10),), "up to"),
        ((Generate(1, 10), PromptPart(b"x" * 11)), "the 10 that were told"),
        ((Generate(2, 10), PromptPart(b"x" * 5), PromptPart(b"x" * 4)), "the 10 that were told"),
        ((Generate(3, 10), PromptPart(b"x" * 11), PromptPart(b"x"), PromptPart(b"x")), "the 10 that were told"),
    ],
)
def test_more_or_fewer_bytes_than_were_told_are_refused_once(sent: tuple[Message, ...], allowed: str) -> None:
    async def main() -> Sequence[Message]:
        async with Scene() as scene:
            return await Asker(scene).sends(*sent)

    accepted, failure = run_virtual(main())

    assert accepted == Accepted()
    assert isinstance(failure, GenerationFailed)
    assert (failure.code, failure.param, failure.bad_request) == ("invalid_value", "input", True)
    assert allowed in failure.message


def test_bytes_that_are_no_prompt_are_refused() -> None:
    assert refused(b"\xc1garbage").param == "input"


CALLED = Inserted("function_call", "fc_1", text="{}", call_id="call_1", name="lookup")
ANSWERED = Inserted("function_call_output", "fco_1", text="one", call_id="call_1")


@pytest.mark.parametrize(
    ("given", "param", "said"),
    [
        ({"items": (CALLED,)}, "input", "no tool output for the function call call_1"),
        ({"items": (ANSWERED,)}, "input", "no function call before the output of call_1"),
        ({"items": (ANSWERED, CALLED)}, "input", "no function call before the output of call_1"),
        ({"items": (CALLED, ANSWERED, ANSWERED)}, "input", "two outputs"),
        ({"items": (CALLED, CALLED, ANSWERED)}, "input", "two function calls call_1"),
        ({"items": (Inserted("reference", "msg_1"),)}, "input", "'reference'"),
        ({"items": (Inserted("message", "msg_1"),)}, "input", "'message'"),
        ({"items": (Inserted("function_call", "fc_1"),)}, "input", "'function_call'"),
        ({"items": (Inserted("message", "m", "assistant", "Look.", images=(PICTURE,)),)}, "input", "a picture"),
        ({"tools": (DescribedTool("lookup", "", "[]"),)}, "tools[0].parameters", "JSON Schema of an object"),
        (
            {
                "tools": (
                    LOOKUP,
                    DescribedTool("find", "", "{"),
                )
            },
            "tools[1].parameters",
            "JSON Schema of an object",
        ),
        ({"tools": (LOOKUP,), "tool_choice": "find"}, "tool_choice", "'find'"),
        ({"temperature": 2.5}, "temperature", "0 to 2"),
        ({"max_output_tokens": -1}, "max_output_tokens", "1 or more"),
        ({"effort": "boundless"}, "reasoning.effort", "minimal"),
        ({"verbosity": "endless"}, "text.verbosity", "medium"),
    ],
)
def test_what_no_model_can_be_asked_is_refused_in_the_askers_words(
    given: dict[str, Any], param: str, said: str
) -> None:
    failure = refused(msgspec.structs.replace(HELLO, **given))

    assert (failure.code, failure.param) == ("invalid_value", param)
    assert said in failure.message


def test_what_places_nothing_is_declined() -> None:
    async def main() -> Sequence[Message]:
        async with Scene() as scene:
            return await Asker(scene).sends(Turn(1, "item_1", "Hello.", "text"))

    (declined,) = run_virtual(main())

    assert isinstance(declined, Declined)
    assert (declined.reason, "Converse, Generate" in declined.detail) == ("bad_request", True)


# what fails


def test_a_model_that_raises_fails_the_request_alone() -> None:
    async def main() -> tuple[Sequence[Message], int]:
        async with Scene([[[Words("Well,"), Fail("broken: sk-secret")]]]) as scene:
            await scene.place()
            told = await Asker(scene).asks(HELLO)
            return told, scene.service.calls.calls

    told, calls = run_virtual(main())

    assert told == [
        Accepted(),
        GeneratedText("Well,"),
        GenerationFailed("server_error", "the model failed to answer"),
    ]
    assert calls == 2


def test_a_model_that_hangs_fails_in_time() -> None:
    async def main() -> Sequence[Message]:
        async with Scene([[[Wait(10_000.0)]]]) as scene:
            asker = Asker(scene)
            await asker.asks(HELLO)
            await asyncio.sleep(120.0)
            return list(asker.told)

    assert run_virtual(main())[-1] == GenerationFailed("server_error", "the model gave no word in time")


def test_a_model_that_never_ends_is_stopped() -> None:
    class Endless(Told):
        async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
            while True:
                yield TextDelta("x" * 100_000)

    told = told_by(lambda: Scene(model=Endless()), HELLO)

    assert told[-1] == GenerationFailed("server_error", "the model failed to answer")


ENDPOINT = Endpoint("http://inside.example:8000/v1", "m", "sk-key")


@pytest.mark.parametrize(
    ("failed", "code", "param", "bad_request"),
    [
        ({"status": 400, "code": "context_length_exceeded"}, "context_length_exceeded", "input", True),
        ({"code": "content_filter"}, "content_filter", "input", True),
        ({"status": 404, "code": "model_not_found"}, "model_not_found", "model", True),
        ({"status": 400, "param": "temperature"}, "invalid_value", "temperature", True),
        ({"status": 422, "code": "bad_schema"}, "bad_schema", "", True),
        ({"status": 429, "retryable": True}, "rate_limit_exceeded", "", False),
        ({"status": 429, "code": "insufficient_quota"}, "server_error", "", False),
        ({"status": 401, "code": "invalid_api_key"}, "server_error", "", False),
        ({"status": 503, "retryable": True}, "server_error", "", False),
        ({"code": "timeout"}, "server_error", "", False),
        ({"code": "connect", "retryable": True}, "server_error", "", False),
    ],
)
def test_an_endpoints_failure_is_the_askers_or_may_go_better_later(
    failed: dict[str, Any], code: str, param: str, bad_request: bool
) -> None:
    failure = failure_of(EndpointFailed(ENDPOINT, "no", **failed))

    assert (failure.code, failure.param, failure.bad_request) == (code, param, bad_request)
    assert "inside.example" not in failure.message


def test_a_model_that_nobody_named_is_the_operators_trouble() -> None:
    error = EndpointFailed(ENDPOINT, "no", status=404, code="model_not_found")

    assert failure_of(error, model_named=False).bad_request is False


def test_an_endpoint_that_refuses_is_told_in_its_words() -> None:
    async def main() -> Sequence[Message]:
        async with (
            StandIn(refusal(400, "too many tokens", "context_length_exceeded")) as endpoint,
            Scene(model=endpoint.model()) as scene,
        ):
            return await Asker(scene).asks(HELLO)

    expected = GenerationFailed("context_length_exceeded", "too many tokens", "input", bad_request=True)
    assert run_over_sockets(main()) == [Accepted(), expected]


# how it ends

BEGUN = sse(Answer().message("Once upon a time", "final_answer").events[:5])


@pytest.mark.parametrize("end", ["release", "superseded", "stop"])
def test_an_end_before_its_time_ends_the_endpoints_request(end: str) -> None:
    async def main() -> tuple[bool, Sequence[Message]]:
        async with StandIn(Reply((BEGUN, Hang()))) as endpoint:
            async with Scene(model=endpoint.model()) as scene:
                asker = Asker(scene)
                told = await asker.asks(HELLO)
                assert isinstance(told[1], GeneratedText)
                assert not endpoint.left.is_set()
                match end:
                    case "release":
                        asker.link.send(Release("client_gone"))
                    case "superseded":
                        await Asker(scene, attach=2).sends(Generate(2, 10))
                    case "stop":
                        scene.service.calls.close("stopped")
                async with asyncio.timeout(5.0):
                    await endpoint.left.wait()
            return endpoint.left.is_set(), [one for one in asker.told if isinstance(one, Generated | GenerationFailed)]

    assert run_over_sockets(main()) == (True, [])


def test_an_agent_that_stops_says_that_it_is_not_here_any_more() -> None:
    async def main() -> Sequence[Message]:
        async with Scene([[[Wait(100.0)]]]) as scene:
            asker = Asker(scene)
            await asker.asks(HELLO)
            scene.service.calls.close("stopped")
            await asyncio.sleep(1.0)
            return list(asker.told)

    assert run_virtual(main()) == [Accepted(), CallFailed("stopped")]


def test_generations_count_as_calls_do() -> None:
    async def main() -> tuple[int, list[type[Message]], int]:
        async with Scene([[[Wait(100.0)]]]) as scene:
            scene.service.calls.capacity = 1
            asker = Asker(scene)
            await asker.asks(HELLO)
            load = scene.service.load()[0]
            await scene.place(order=Converse(hub=1, gateway="gw"))
            asker.link.send(Release("answered"))
            await asyncio.sleep(1.0)
            return load, [type(one) for one in scene.told], scene.service.load()[0]

    assert run_virtual(main()) == (1, [Declined], 0)


def test_a_picture_in_a_prompt_reaches_the_endpoint() -> None:
    data = encoded(drawn(1800, 2400), "JPEG")
    image = shown("file_1", 1800, 2400, "low")

    async def main() -> list[dict[str, Any]]:
        files = MemoryFileStore()
        await files.put(facts_of(image, data), data)
        seen = sse(Answer().message("A square.", "final_answer").completed())
        async with StandIn(seen) as endpoint, Scene(model=endpoint.model(files=files)) as scene:
            await Asker(scene).asks(Prompt("", (user("What is it?", images=(image,)),)))
            content: list[dict[str, Any]] = endpoint.asked[0].body["input"][0]["content"]
            return content

    picture, text = run_over_sockets(main())

    assert (picture["type"], picture["detail"], text["text"]) == ("input_image", "low", "What is it?")
