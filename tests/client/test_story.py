"""Two gateways tell of the same call; the reader hears each thing once, and the later gateway learns what came."""

import binascii
import json
from typing import Any

import msgspec
import pytest

from trunkline.client.events import Begun, Cancelled, GivenOutput, Received, ServerEvent, TypedItem, decode
from trunkline.client.story import Story, named
from trunkline.client.tape import Format, Tape

RAMP = b"".join(n.to_bytes(2, "little") for n in range(1000))


def event(kind: str, **fields: Any) -> ServerEvent:
    return decode(json.dumps({"type": kind, **fields}))


def delta(position: int, samples: int, segment: int = 0, item: str = "item_1", response: str = "resp_1") -> ServerEvent:
    part = binascii.b2a_base64(RAMP[2 * position : 2 * (position + samples)], newline=False).decode()
    return event(
        "response.output_audio.delta",
        item_id=item,
        response_id=response,
        delta=part,
        segment=segment,
        position=position,
        samples=samples,
    )


def say(story: Story, event: dict[str, object], number: int = -1) -> None:
    story.said(named(event), number)


def update(name: str, **session: object) -> dict[str, object]:
    return {"type": "session.update", "event_id": name, "session": session}


def text_item(*parts: str, item: str = "item_1") -> dict[str, object]:
    content = [{"type": "input_text", "text": part} for part in parts]
    return {"id": item, "type": "message", "role": "user", "content": content}


def refusal(name: str) -> ServerEvent:
    return event("error", error={"message": "no", "event_id": name})


def told(tape: Tape) -> Tape:
    """All that is on it has gone out."""
    mark = tape.begin()
    while (read := tape.read(mark))[0]:
        mark = read[1]
    return tape


def heard(story: Story, *deltas: ServerEvent) -> bytes:
    news = [story.news(each) for each in deltas]
    return b"".join(binascii.a2b_base64(each.delta) for each in news if each is not None)


def test_audio_that_came_already_is_cut_off() -> None:
    story = Story()

    sound = heard(story, delta(0, 100), delta(0, 50), delta(60, 100), delta(160, 40))

    assert sound == RAMP[:400]
    assert story.resume(Tape()).received == [Received("item_1", 0, 200)]


def test_the_text_of_a_cut_delta_says_what_is_left() -> None:
    story = Story()
    heard(story, delta(0, 100))

    rest = story.news(delta(60, 100))

    assert rest is not None
    assert json.loads(rest.text)["delta"] == rest.delta


def test_audio_of_a_server_without_positions_passes() -> None:
    story = Story()
    plain = event("response.output_audio.delta", item_id="item_1", response_id="resp_1", delta="AAAA")

    assert story.news(plain) is plain
    assert story.news(plain) is plain


def test_a_response_that_is_told_again_is_told_once() -> None:
    story = Story()
    kinds = ["response.created", "response.output_item.added", "response.content_part.added"]

    def tell() -> list[ServerEvent | None]:
        begun = [story.news(event("response.created", response={"id": "resp_1"}))]
        begun.append(story.news(event("response.output_item.added", response_id="resp_1", item={"id": "item_1"})))
        begun.append(story.news(event("response.content_part.added", response_id="resp_1", item_id="item_1")))
        return begun

    first, again = tell(), tell()

    assert [each.type for each in first if each is not None] == kinds
    assert again == [None, None, None]


def test_words_are_told_once_per_segment() -> None:
    story = Story()

    def words(segment: int) -> ServerEvent | None:
        kind = "response.output_audio_transcript.delta"
        return story.news(event(kind, item_id="item_1", response_id="resp_1", delta="Hi", segment=segment))

    assert [words(0) is not None, words(1) is not None, words(0) is not None] == [True, True, False]


def test_nothing_more_is_told_of_a_response_that_is_done() -> None:
    story = Story()
    done = {"id": "resp_1", "status": "cancelled", "status_details": {"type": "cancelled", "reason": "turn_detected"}}
    story.news(event("response.created", response={"id": "resp_1"}))
    story.news(event("response.done", response=done))

    assert heard(story, delta(0, 10)) == b""
    assert story.resume(Tape()).cancelled == [Cancelled("resp_1", "turn_detected")]
    assert story.resume(Tape()).responses == []


def test_an_utterance_is_named_to_the_next_gateway_until_it_is_settled() -> None:
    story = Story()
    story.news(event("input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=300))
    story.news(event("input_audio_buffer.speech_started", item_id="item_2", audio_start_ms=900))
    story.news(event("conversation.item.input_audio_transcription.completed", item_id="item_1", transcript="Hello."))

    story.settle(300)
    assert story.resume(Tape()).begun == [Begun("item_1", 300), Begun("item_2", 900)]
    story.settle(301)
    assert story.resume(Tape()).begun == [Begun("item_2", 900)]


def test_a_transcript_that_comes_again_is_news_only_if_it_differs() -> None:
    story = Story()

    def is_news(words: str) -> bool:
        kind = "conversation.item.input_audio_transcription.completed"
        return story.news(event(kind, item_id="item_1", transcript=words)) is not None

    assert [is_news("Hello."), is_news("Hello."), is_news("Hello there.")] == [True, False, True]


def test_words_that_another_gateway_begins_anew_are_told_once_they_are_whole() -> None:
    story = Story()

    def news(kind: str, item: str, **words: str) -> bool:
        return (
            story.news(event(f"conversation.item.input_audio_transcription.{kind}", item_id=item, **words)) is not None
        )

    before = [news("delta", "item_u", delta="hello"), news("delta", "item_u", delta=" wo")]
    story.resume(Tape())
    after = [news("delta", "item_u", delta="hello"), news("delta", "item_v", delta="hi")]

    assert (before, after) == ([True, True], [False, True])
    assert news("completed", "item_u", transcript="hello world")


def test_updates_of_the_session_that_were_confirmed_are_merged() -> None:
    story = Story()
    say(story, {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"speed": 1.1}}}})
    say(story, {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}})

    story.news(event("session.updated"))
    story.news(event("session.updated"))

    assert story.resume(Tape()).session == {
        "type": "realtime",
        "audio": {"output": {"speed": 1.1}, "input": {"format": {"type": "audio/pcmu"}}},
    }


def test_a_refused_update_is_told_to_no_later_gateway() -> None:
    """Nor does it take the place of another: the server answers in order."""
    story = Story()
    for one in (update("evt_1", instructions="Rhyme."), update("evt_2", tools=[{}]), update("evt_3", model="desk")):
        say(story, one)

    story.news(event("session.updated"))
    story.news(refusal("evt_2"))
    story.news(event("session.updated"))

    assert story.resume(Tape()).session == {"instructions": "Rhyme.", "model": "desk"}
    assert story.resume(Tape()).unanswered == []


def test_an_update_that_a_lost_gateway_was_told_and_did_not_answer_is_told_as_it_was_said() -> None:
    """The next gateway answers it, and what it refuses is no part of the session."""
    story, tape = Story(), Tape()
    first, second, third = update("evt_1", tools=[{}]), update("evt_2", model="desk"), update("evt_3", model="till")
    say(story, first, tape.order("{}", again=False))
    say(story, second, tape.order("{}", again=False))
    told(tape)
    say(story, third, tape.order("{}", again=False))

    unanswered = story.resume(tape).unanswered
    story.news(refusal("evt_1"))
    story.news(event("session.updated"))

    assert unanswered == [first, second]
    assert story.resume(told(tape)).session == {"model": "desk"}
    assert story.resume(tape).unanswered == [third]


def test_audio_follows_an_update_at_once_and_is_as_before_when_that_is_refused() -> None:
    story = Story()
    say(story, update("evt_1", audio={"input": {"format": {"type": "audio/pcmu"}}}))

    assert story.input_format == Format("audio/pcmu")
    assert story.resume(Tape()).session is None
    story.news(refusal("evt_1"))
    assert story.input_format == Format()


def test_what_a_program_changes_in_an_event_that_it_has_sent_changes_nothing() -> None:
    story, session = Story(), {"audio": {"output": {"voice": "ann"}}}
    say(story, {"type": "session.update", "session": session})

    session["audio"]["output"]["voice"] = "joe"
    story.news(event("session.updated"))

    assert story.resume(Tape()).session == {"audio": {"output": {"voice": "ann"}}}


@pytest.mark.parametrize("kind", ["session.update", "conversation.item.create", "response.create"])
def test_what_may_be_refused_has_a_name_by_which_that_is_told(kind: str) -> None:
    unnamed, nameless, mine = (named({"type": kind, **more}) for more in ({}, {"event_id": None}, {"event_id": "mine"}))

    assert unnamed["event_id"]
    assert nameless["event_id"]
    assert mine["event_id"] == "mine"


@pytest.mark.parametrize(
    "change",
    [
        {"role": "assistant"},
        {"type": "function_call_output"},
        {"content": [{"type": "input_audio", "transcript": "Hi"}]},
    ],
)
def test_only_a_callers_text_is_told_as_typed(change: dict[str, object]) -> None:
    story = Story()

    say(story, {"type": "conversation.item.create", "item": {**text_item("Hi"), **change}})

    assert story.resume(Tape()).typed == []


def test_a_picture_is_told_with_its_bytes_until_a_gateway_has_it() -> None:
    story = Story()
    shown = [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
    stored = [shown[0], {"type": "input_image", "file_id": "file_1", "detail": "auto"}]
    say(story, {"type": "conversation.item.create", "event_id": "evt_1", "item": {**text_item(), "content": shown}})

    before = msgspec.json.decode(msgspec.json.encode(story.resume(Tape()).typed))
    story.news(event("conversation.item.added", item={"id": "item_1", "content": stored}))
    after = msgspec.json.decode(msgspec.json.encode(story.resume(Tape()).typed))

    assert before == [{"item_id": "item_1", "text": "", "event_id": "evt_1", "content": shown}]
    assert after == [{"item_id": "item_1", "text": "", "event_id": "evt_1", "content": stored}]


def test_a_text_that_is_refused_is_told_to_no_later_gateway() -> None:
    """Not even if it has the item of one that was taken."""
    story = Story()
    say(story, {"type": "conversation.item.create", "event_id": "evt_1", "item": text_item("Hi")})
    say(story, {"type": "conversation.item.create", "event_id": "evt_2", "item": text_item("Ho")})

    story.news(refusal("evt_2"))

    assert story.resume(Tape()).typed == [TypedItem("item_1", "Hi", "evt_1")]


def test_a_text_and_an_order_to_respond_are_told_until_something_came_of_them() -> None:
    story = Story()
    say(story, {"type": "conversation.item.create", "event_id": "evt_1", "item": text_item("Hi")})
    say(story, {"type": "response.create", "response": {"instructions": "Be brief."}})

    assert story.resume(Tape()).typed == [TypedItem("item_1", "Hi", "evt_1")]
    assert story.resume(Tape()).respond == "Be brief."
    story.news(event("response.created", response={"id": "resp_1"}))
    assert story.resume(Tape()).respond is None
    assert story.resume(Tape()).responses == ["resp_1"]


def test_what_no_gateway_has_been_told_is_left_to_the_tape() -> None:
    story, tape = Story(), Tape()
    item = text_item("Hi ", "there")
    say(story, {"type": "conversation.item.create", "event_id": "evt_1", "item": item}, tape.order("{}", again=False))
    say(story, {"type": "response.create", "event_id": "resp_mine"}, tape.order("{}", again=False))

    untold = story.resume(tape)
    _, mark = tape.read(tape.begin())
    half = story.resume(tape)
    tape.read(mark)
    whole = story.resume(tape)

    typed = [TypedItem("item_1", "Hi there", "evt_1")]
    assert (untold.typed, untold.respond, untold.respond_id) == ([], None, "")
    assert (half.typed, half.respond) == (typed, None)
    assert (whole.typed, whole.respond, whole.respond_id) == (typed, "", "resp_mine")


def test_only_an_error_that_can_be_about_it_undoes_an_order_to_respond() -> None:
    story = Story()
    say(story, {"type": "response.create", "event_id": "resp_mine"})

    story.news(event("error", error={"message": "no such item", "event_id": "evt_2"}))
    assert story.resume(Tape()).respond == ""
    story.news(event("error", error={"message": "a response is already active", "event_id": "resp_mine"}))
    assert story.resume(Tape()).respond is None


def test_who_only_hangs_up_wants_no_more_of_any_response() -> None:
    story = Story()
    say(story, {"type": "response.create"})
    for response in ("resp_1", "resp_2"):
        story.news(event("response.created", response={"id": response}))
    done = {"id": "resp_1", "status": "cancelled", "status_details": {"reason": "turn_detected"}}
    story.news(event("response.done", response=done))

    last = story.last_resume(Tape())

    assert last.cancelled == [Cancelled("resp_1", "turn_detected"), Cancelled("resp_2")]
    assert last.respond is None


def test_what_hasnt_begun_is_new() -> None:
    story = Story()
    story.news(event("response.created", response={"id": "resp_1"}))
    story.news(event("response.output_item.added", response_id="resp_1", item={"id": "item_1"}))

    assert not story.is_new(event("response.output_audio.delta", response_id="resp_1", item_id="item_1"))
    assert not story.is_new(event("conversation.item.truncated", item_id="item_9"))
    assert story.is_new(event("response.done", response={"id": "resp_1"}))  # its last item may be new
    assert story.is_new(event("response.output_item.added", response_id="resp_1", item={"id": "item_2"}))
    assert story.is_new(event("response.created", response={"id": "resp_2"}))
    assert story.is_new(event("input_audio_buffer.speech_started", item_id="item_3"))


def test_an_answer_to_what_the_next_gateway_is_told_of_is_new() -> None:
    """That gateway answers it too."""
    story = Story()
    say(story, update("evt_1", tools=[{}]))

    assert story.is_new(event("session.updated"))
    assert story.is_new(refusal("evt_1"))
    assert not story.is_new(refusal("evt_9"))


def test_a_call_of_a_tool_is_told_once_and_its_output_again_until_it_is_refused() -> None:
    story, tape = Story(), Tape()
    story.news(event("response.created", response={"id": "resp_1"}))
    asked = [
        event(f"response.function_call_arguments.{part}", response_id="resp_1", item_id="item_1")
        for part in ("delta", "done")
    ]
    first, second = [story.news(one) for one in asked], [story.news(one) for one in asked]
    for name in ("evt_1", "evt_2"):
        given = {"type": "function_call_output", "id": f"item_{name}", "call_id": "call_1", "output": "open"}
        made: dict[str, object] = {"type": "conversation.item.create", "event_id": name, "item": given}
        say(story, made, tape.order(json.dumps(made), again=False))

    assert (first, second) == (asked, [None, None])
    assert story.resume(tape).outputs == []  # no gateway has been told yet
    assert story.is_new(refusal("evt_2"))
    story.news(refusal("evt_2"))
    assert story.resume(told(tape)).outputs == [GivenOutput("item_evt_1", "call_1", "open", "evt_1")]
