"""A client shows pictures: what it says waits for them, in order, and the agent is told where they stand."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from gateway.any_client import Notes
from gateway.scene import Scene, settle
from support.virtual import run_virtual
from trunkline.gateway.call import Call
from trunkline.gateway.dialects.realtime import backlog, restoring
from trunkline.gateway.dialects.realtime.images_in import IMAGES_LIMIT
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.gateway.dialects.realtime.peer import GREETING_PAUSE_S, TAKE_IN_LIMIT_S, Peer
from trunkline.gateway.dialects.realtime.terms import Terms
from trunkline.proto import record
from trunkline.proto import response as r
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.image import Detail, ShownImage
from trunkline.proto.response import Attached
from trunkline.record import CallView, StoreUnavailable

Event = dict[str, Any]
VENDOR: TypeAdapter[object] = TypeAdapter(RealtimeServerEvent)
CREATE = "conversation.item.create"
URL = f"data:image/png;base64,{base64.b64encode(bytes(300)).decode()}"
LIMITS = Limits(2_000, 20_000)
TEXT = {"type": "input_text", "text": "What is this?"}
PICTURE = {"type": "input_image", "image_url": URL, "detail": "high"}


class Intake:
    """Takes a picture in as soon as it is let. refuses: what it raises instead."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str | None, str, str]] = []
        self.let = asyncio.Event()
        self.let.set()
        self.refuses: Exception | None = None

    async def take(self, *, image_url: str | None, file_id: str | None, detail: Detail, param: str) -> ShownImage:
        self.asked.append((image_url, file_id, detail, param))
        await self.let.wait()
        if self.refuses is not None:
            raise self.refuses
        return ShownImage(file_id or f"file_{len(self.asked)}", 0, detail, "image/png", 40, 30, 300)


class Client:
    def __init__(self, scene: Scene, call: Call) -> None:
        self.scene = scene
        self.call = call
        self.notes = Notes()
        self.intake = Intake()
        self.peer = Peer(call, self.notes, self.intake, Terms("gpt-realtime", "", LIMITS))

    def says(self, kind: str, **fields: object) -> None:
        self.peer.take(json.dumps({"type": kind, "event_id": f"evt_{kind}", **fields}).encode())

    def shows(self, *parts: Event, item: str = "u1", role: str = "user") -> None:
        self.says(CREATE, item={"type": "message", "id": item, "role": role, "content": list(parts)})

    def told(self, kind: type) -> list[Any]:
        return self.scene.agent.last.all(kind)

    def errors(self) -> list[Event]:
        return [event["error"] for event in self.notes.of("error")]

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.notes.events]


def with_client(scenario: Callable[[Client], Awaitable[None]], greeting: str = "") -> None:
    """Whatever was told is an event of the vendor's types."""

    async def main() -> None:
        async with Scene() as scene:
            scene.agent.attached = Attached("frontdesk", "d1", greeting=greeting)
            client = Client(scene, await scene.calls.place(""))
            if greeting:
                scene.agent_mind.speak(scene.agent.sessions[0], greeting, 0, "Hello.")
            client.peer.greet()
            client.peer.enter()
            await scenario(client)
            for event in client.notes.events[1:]:
                VENDOR.validate_python(event)
            client.peer.leave()
            client.call.end("caller_hung_up")
            await settle()

    run_virtual(main())


def test_a_picture_between_words_is_told_to_the_agent_where_it_stands() -> None:
    async def scenario(client: Client) -> None:
        client.shows({"type": "input_text", "text": "  Is this "}, PICTURE, {"type": "input_text", "text": "a lamp? "})
        await settle()

        (turn,) = client.told(r.Turn)
        assert (turn.turn, turn.text, turn.respond) == (1, "Is this a lamp?", False)
        assert turn.images == (ShownImage("file_1", len("Is this "), "high", "image/png", 40, 30, 300),)
        assert client.intake.asked == [(URL, None, "high", "item.content[1].image_url")]

    with_client(scenario)


def test_a_client_is_told_of_its_picture_by_the_id_of_the_file_and_not_by_its_bytes() -> None:
    async def scenario(client: Client) -> None:
        client.shows(TEXT, PICTURE)
        await settle()
        client.says("conversation.item.retrieve", item_id="u1")
        shown = [TEXT, {"type": "input_image", "file_id": "file_1", "detail": "high"}]

        told = [event for event in client.notes.events if event["type"].startswith("conversation.item.")]
        assert [event["type"].rpartition(".")[2] for event in told] == ["added", "done", "retrieved"]
        assert [event["item"]["content"] for event in told] == [shown] * 3

    with_client(scenario)


def test_a_picture_alone_is_a_turn_and_can_be_answered() -> None:
    async def scenario(client: Client) -> None:
        client.shows({"type": "input_image", "file_id": "file_mine"})
        client.says("response.create")
        await settle()

        (turn,) = client.told(r.Turn)
        assert (turn.turn, turn.text, [image.file for image in turn.images]) == (1, "", ["file_mine"])
        assert turn.images[0].detail == "auto"
        assert len(client.told(r.Respond)) == 1

    with_client(scenario)


def test_what_is_said_behind_a_picture_waits_for_it_and_keeps_its_order() -> None:
    async def scenario(client: Client) -> None:
        client.intake.let.clear()
        client.shows(PICTURE)
        client.shows(TEXT, item="u2")
        client.says("input_audio_buffer.append", audio=base64.b64encode(bytes(960)).decode())
        client.shows({"type": "input_image", "file_id": "file_two"}, item="u3")
        client.says("response.create")
        await settle(1.0)
        meanwhile = client.kinds(), len(client.told(r.Turn)), client.peer.backlog.waits
        client.intake.let.set()
        await settle()

        assert meanwhile == (["session.created"], 0, True)
        order = [m.item if isinstance(m, r.Turn) else "" for m in client.scene.agent.last.got if not _is_other(m)]
        assert order == ["u1", "u2", "u3", ""]
        assert client.scene.stt.last.audio
        assert not client.peer.backlog.waits

    with_client(scenario)


def _is_other(message: object) -> bool:
    return not isinstance(message, r.Turn | r.Respond)


def test_a_picture_that_is_refused_changes_nothing_and_what_waits_goes_on() -> None:
    async def scenario(client: Client) -> None:
        client.intake.refuses = BadInput("item.content[0].image_url", "is no picture", "", code="invalid_image")
        client.shows(PICTURE)
        client.shows(TEXT, item="u2")
        await settle()

        (error,) = client.errors()
        assert (error["code"], error["param"]) == ("invalid_image", "item.content[0].image_url")
        assert (error["event_id"], error["type"]) == (f"evt_{CREATE}", "invalid_request_error")
        assert [turn.item for turn in client.told(r.Turn)] == ["u2"]

    with_client(scenario)


@pytest.mark.parametrize("failure", [StoreUnavailable("no stream", 1.0), None])
def test_a_picture_that_cannot_be_stored_in_time_is_told_of_as_the_servers_fault(failure: Exception | None) -> None:
    async def scenario(client: Client) -> None:
        if failure is None:
            client.intake.let.clear()
        client.intake.refuses = failure
        client.shows(PICTURE)
        await settle(TAKE_IN_LIMIT_S + 0.1)

        (error,) = client.errors()
        assert (error["code"], error["type"], error["param"]) == (
            "store_unavailable",
            "server_error",
            "item.content[0]",
        )
        assert not client.peer.backlog.waits

    with_client(scenario)


def test_a_picture_that_there_is_no_room_for_is_asked_for_later() -> None:
    async def scenario(client: Client) -> None:
        client.intake.refuses = StageUnavailable("gateway", "it takes in all the pictures that it can", 2.0)
        client.shows(PICTURE)
        await settle()

        (error,) = client.errors()
        assert (error["code"], error["type"], error["param"]) == ("overloaded", "server_error", "item.content[0]")
        assert not client.peer.backlog.waits

    with_client(scenario)


@pytest.mark.parametrize("how", ["hangs up", "its line breaks"])
def test_a_client_that_goes_while_a_picture_is_taken_in_leaves_nothing_behind(how: str) -> None:
    async def scenario(client: Client) -> None:
        client.intake.let.clear()
        client.shows(PICTURE)
        client.shows(TEXT, item="u2")
        await settle()
        if how == "hangs up":
            client.call.end("caller_hung_up")
        else:
            client.peer.leave()
        client.intake.let.set()
        await settle(1.0)

        assert client.told(r.Turn) == []
        assert not client.peer.backlog.waits

    with_client(scenario)


BAD: dict[str, tuple[list[Event], str, str]] = {
    "original": ([{**PICTURE, "detail": "original"}], "item.content[0].detail", "invalid_value"),
    "nothing": ([TEXT, {"type": "input_image"}], "item.content[1]", "missing_required_parameter"),
    "both": ([{**PICTURE, "file_id": "file_x"}], "item.content[0]", "invalid_value"),
    "a text of a picture's": ([{**PICTURE, "text": "lamp"}], "item.content[0].text", "invalid_value"),
    "a picture of a text's": ([{**TEXT, "image_url": URL}], "item.content[0].image_url", "invalid_value"),
    "too many": (
        [{"type": "input_image", "file_id": "file_x"}] * (IMAGES_LIMIT + 1),
        f"item.content[{IMAGES_LIMIT}]",
        "invalid_value",
    ),
    "a number": ([{"type": "input_image", "image_url": 7}], "item.content[0].image_url", "invalid_value"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_picture_that_cannot_be_shown_is_refused_by_name_before_it_is_taken_in(what: str) -> None:
    parts, param, code = BAD[what]

    async def scenario(client: Client) -> None:
        client.shows(*parts)
        await settle()

        assert [(error["param"], error["code"]) for error in client.errors()] == [(param, code)]
        assert (client.intake.asked, client.told(r.Turn)) == ([], [])

    with_client(scenario)


def test_only_the_caller_shows_pictures() -> None:
    async def scenario(client: Client) -> None:
        client.shows(PICTURE, role="system")
        client.shows(PICTURE, role="assistant", item="a1")

        assert [error["param"] for error in client.errors()] == ["item.content[0].type"] * 2
        assert client.intake.asked == []

    with_client(scenario)


def test_an_item_that_is_there_already_is_refused_before_its_picture_is_taken_in() -> None:
    async def scenario(client: Client) -> None:
        client.shows(TEXT)
        client.shows(PICTURE)

        assert [error["code"] for error in client.errors()] == ["item_create_duplicate_item_id"]
        assert client.intake.asked == []

    with_client(scenario)


def test_an_event_may_be_larger_for_its_pictures_and_for_nothing_else() -> None:
    photo = "data:image/jpeg;base64," + "A" * 10_000

    async def shown(client: Client) -> None:
        client.shows({"type": "input_image", "image_url": photo})
        await settle()

        assert len(client.told(r.Turn)) == 1
        assert client.errors() == []

    async def spoken(client: Client) -> None:
        client.shows({"type": "input_text", "text": "input_image" + "x" * 10_000})

        (error,) = client.errors()
        assert error["code"] == "event_too_large"
        assert client.call.ended

    async def immense(client: Client) -> None:
        client.shows({"type": "input_image", "image_url": photo * 2})

        assert [error["code"] for error in client.errors()] == ["event_too_large"]
        assert "20000" in client.errors()[0]["message"]
        assert client.call.ended

    with_client(shown)
    with_client(spoken)
    with_client(immense)


def test_a_client_that_says_more_than_can_wait_is_cut_off() -> None:
    async def scenario(client: Client) -> None:
        client.intake.let.clear()
        client.shows(PICTURE)
        for _ in range(backlog.EVENTS_LIMIT + 1):
            client.says("input_audio_buffer.clear")

        assert [error["code"] for error in client.errors()] == ["too_many_events"]
        assert client.call.ended

    with_client(scenario)


def test_a_line_that_can_wait_reads_on_once_there_is_room() -> None:
    async def scenario(client: Client) -> None:
        client.intake.let.clear()
        client.shows(PICTURE)
        for _ in range(backlog.EVENTS_LIMIT):
            client.says("input_audio_buffer.clear")
        room = asyncio.Event()
        client.peer.backlog.on_room = room.set
        await settle(1.0)
        before = room.is_set()
        client.intake.let.set()
        await room.wait()
        await settle()

        assert not before
        assert len(client.notes.of("input_audio_buffer.cleared")) == backlog.EVENTS_LIMIT

    with_client(scenario)


def test_who_shows_something_first_is_not_greeted() -> None:
    async def scenario(client: Client) -> None:
        client.intake.let.clear()
        client.shows(PICTURE)
        await settle(GREETING_PAUSE_S * 3)
        client.intake.let.set()
        await settle(GREETING_PAUSE_S * 3)

        assert "response.created" not in client.kinds()
        assert [turn.item for turn in client.told(r.Turn)] == ["u1"]

    with_client(scenario, "resp_hello")


def test_who_shows_first_what_is_refused_is_greeted_after_all() -> None:
    async def scenario(client: Client) -> None:
        client.intake.refuses = BadInput("x", "is no picture", "")
        client.shows(PICTURE)
        await settle(GREETING_PAUSE_S * 3)

        assert client.kinds()[:3] == ["session.created", "error", "response.created"]

    with_client(scenario, "resp_hello")


def test_the_input_of_a_response_can_show_pictures() -> None:
    async def scenario(client: Client) -> None:
        message = {"type": "message", "role": "user", "content": [TEXT, {"type": "input_image", "file_id": "file_x"}]}
        client.says("response.create", response={"conversation": "none", "input": [message]})
        await settle()

        (respond,) = client.told(r.Respond)
        (given,) = respond.asked.context
        assert [(image.file, image.at) for image in given.images] == [("file_x", len("What is this?"))]
        assert client.intake.asked[0][3] == "response.input[0].content[1].file_id"

    with_client(scenario)


def test_the_input_of_a_response_is_refused_where_its_picture_is() -> None:
    async def scenario(client: Client) -> None:
        message = {"type": "message", "role": "user", "content": [{**PICTURE, "detail": "original"}]}
        client.says("response.create", response={"input": [message]})
        await settle()

        (error,) = client.errors()
        assert (error["param"], error["event_id"]) == ("response.input[0].content[0].detail", "evt_response.create")
        assert client.told(r.Respond) == []

    with_client(scenario)


def test_another_gateway_tells_of_a_picture_as_the_first_did() -> None:
    async def scenario(client: Client) -> None:
        view = CallView("rtc_00_a")
        first = ShownImage("file_a", 3, "low", "image/png", 40, 30, 300)
        last = ShownImage("file_b", 7, "auto", "image/png", 40, 30, 300)
        view.apply(record.CallerSaid(1, 1, "u1", "Is it a", "text", images=(first, last)))
        view.apply(record.CallerSaid(2, 2, "u2", "", "text", images=(first,)))
        events = restoring.restore(client.peer.projection, view)
        for event in events:
            client.peer.send(event)

        contents = [event["item"]["content"] for event in client.notes.of("conversation.item.done")]
        shown = {"type": "input_image", "file_id": "file_a", "detail": "low"}
        assert contents == [
            [
                {"type": "input_text", "text": "Is "},
                shown,
                {"type": "input_text", "text": "it a"},
                {"type": "input_image", "file_id": "file_b", "detail": "auto"},
            ],
            [shown],
        ]

    with_client(scenario)
