"""What the page lets one do beside talking: pictures, choices, the keyboard, things to keep. Without a gateway."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from page import chrome
from page.chrome import CALL, KEY, Caller, alert, says
from support import chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing()),
]
DRAW = """([width, height]) => {
    const canvas = Object.assign(document.createElement('canvas'), {width, height});
    const pen = canvas.getContext('2d');
    for (let at = 0; at < 400; at++) {  // enough of it that it doesn't pack to nothing
        pen.fillStyle = `hsl(${at * 47 % 360} 70% ${20 + at % 60}%)`;
        pen.fillRect(at * 83 % width, at * 61 % height, width / 9, height / 9);
    }
    return canvas.toDataURL('image/png').split(',')[1];
}"""
HAND_OVER = """([kind, data]) => {
    const given = new DataTransfer();
    given.items.add(new File([Uint8Array.from(data)], 'cat.png', {type: 'image/png'}));
    const event = kind === 'drop' ? new DragEvent('drop', {dataTransfer: given, bubbles: true, cancelable: true})
        : new ClipboardEvent('paste', {clipboardData: given, bubbles: true, cancelable: true});
    document.body.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.browser() as running:
        yield running


@pytest.fixture
def caller(browser: Any) -> Iterator[Caller]:
    with chrome.caller(browser) as caller:
        yield caller


def picture(caller: Caller, width: int, height: int) -> bytes:
    """A PNG."""
    return base64.b64decode(caller.page.evaluate(DRAW, [width, height]))


def give(caller: Caller, data: bytes) -> None:
    caller.page.locator("#picture-file").set_input_files({"name": "cat.png", "mimeType": "image/png", "buffer": data})


def stored(caller: Caller, number: int = 1) -> Any:
    """The gateway's answer to the how manieth picture: then it stands in the transcript."""
    caller.page.evaluate("count => standIn.until(count)", 2 * number)
    caller.hears("conversation.item.added", item=caller.sent[-2]["item"])
    return caller.page.locator("#lines .picture").last


# what is shown


def test_a_picture_is_kept_shown_and_answered(caller: Caller) -> None:
    caller.open().call()
    caller.page.get_by_label("Message to the agent").fill("What is this?")
    give(caller, picture(caller, 640, 480))
    stored(caller)

    assert caller.sent_types == ["conversation.item.create", "response.create"]
    assert caller.sent[0]["item"]["content"] == [
        {"type": "input_image", "file_id": "file_kept"},
        {"type": "input_text", "text": "What is this?"},
    ]
    upload = next(body for path, key, body in caller.desk.asked if (path, key) == ("POST v1/files", KEY))
    assert re.findall(r'name="purpose"\s+vision\s', upload)
    assert 'filename="cat.png"' in upload
    shown = caller.page.get_by_role("img", name="Picture you showed: cat.png")
    assert shown.evaluate("e => e.decode().then(() => [e.naturalWidth, e.naturalHeight])") == [640, 480]


def test_a_picture_may_be_dropped_or_pasted(caller: Caller) -> None:
    caller.open().call()
    for number, kind in enumerate(("drop", "paste"), 1):
        caller.page.evaluate(HAND_OVER, [kind, list(picture(caller, 40, 30))])
        stored(caller, number)
        caller.hears("response.created", response={"id": f"resp_{number}"})
        caller.hears("response.done", response={"id": f"resp_{number}", "status": "completed", "output": []})

    assert caller.sent_types == ["conversation.item.create", "response.create"] * 2
    assert caller.page.locator("#lines .picture").count() == 2


def test_a_picture_too_large_is_made_smaller_here(caller: Caller) -> None:
    caller.open().call()
    give(caller, picture(caller, 5000, 2500))
    shown = stored(caller)

    assert shown.evaluate("e => e.decode().then(() => [e.naturalWidth, e.naturalHeight])") == [2048, 1024]


def test_with_a_key_for_calls_alone_the_picture_itself_goes_along(caller: Caller) -> None:
    caller.open("#key=ek_given").call()
    give(caller, picture(caller, 4000, 4000))
    stored(caller)

    part = caller.sent[0]["item"]["content"][0]
    assert part["image_url"].startswith("data:image/jpeg;base64,")
    assert len(part["image_url"]) < 200_000
    assert caller.desk.asked_for_calls == [("POST v1/realtime/calls", "ek_given")]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"status": 400, "json": {"error": {"message": "file: is animated", "code": "x"}}}, "file: is animated"),
        ({"status": 503, "json": {}}, "HTTP status 503"),
    ],
)
def test_a_picture_that_is_refused_is_not_shown_and_one_is_told_why(
    caller: Caller, answer: dict[str, Any], why: str
) -> None:
    caller.desk.answers["POST v1/files"] = answer
    caller.open().call()
    give(caller, picture(caller, 40, 30))
    caller.page.get_by_role("alert").wait_for()

    assert alert(caller) == f"The picture wasn’t shown: {why}"
    assert caller.sent == []
    assert caller.page.get_by_role("status").inner_text() == "Connected"


def test_what_is_no_picture_is_not_shown(caller: Caller) -> None:
    caller.open().call()
    give(caller, b"no picture")
    caller.page.get_by_role("alert").wait_for()

    assert "isn’t a picture" in alert(caller)
    assert caller.sent == []


# choices


def test_the_agents_of_the_installation_can_be_called(caller: Caller) -> None:
    agents = [{"id": "billing", "owned_by": "trunkline.agents"}, {"id": "frontdesk", "owned_by": "trunkline.agents"}]
    caller.desk.answers[chrome.AGENTS] = {"json": {"data": [*agents, {"id": "gpt-5.5", "owned_by": "trunkline"}]}}
    caller.desk.answers["POST v1/realtime/calls?model=billing"] = caller.desk.answers["POST v1/realtime/calls"]
    caller.open()
    caller.page.get_by_role("option", name="billing").wait_for(state="attached")
    options = caller.page.get_by_label("Agent", exact=True).locator("option").all_inner_texts()
    caller.page.get_by_label("Agent", exact=True).select_option("billing")
    caller.call()

    assert options == ["Default agent", "billing", "frontdesk"]
    assert json.loads(caller.desk.asked[1][2]) == {"session": {"type": "realtime", "model": "billing"}}
    assert caller.desk.asked[2][0] == "POST v1/realtime/calls?model=billing"


def test_where_there_are_no_names_the_default_agent_can_be_called(caller: Caller) -> None:
    caller.desk.answers[chrome.AGENTS] = {"status": 404, "json": {}}
    caller.open().call()

    assert caller.page.get_by_label("Agent", exact=True).locator("option").all_inner_texts() == ["Default agent"]


def test_light_or_dark_is_the_users_to_choose_and_is_kept(caller: Caller) -> None:
    ink = "getComputedStyle(document.body).backgroundColor"
    caller.open("")
    before = caller.page.evaluate(ink)
    caller.page.get_by_role("button", name="Dark colours").click()
    dark = caller.page.evaluate(ink)
    caller.page.reload()

    assert before != dark == caller.page.evaluate(ink)
    assert caller.page.get_by_role("button", name="Dark colours").get_attribute("aria-pressed") == "true"


# by keys


def test_escape_stops_the_agent(caller: Caller) -> None:
    caller.open().call()
    caller.hears("response.created", response={"id": "resp_1"})
    caller.page.keyboard.press("Escape")

    assert caller.sent_types == ["response.cancel", "output_audio_buffer.clear"]


def test_who_is_muted_talks_while_space_is_held(caller: Caller) -> None:
    caller.open().call()
    caller.page.get_by_role("button", name="Mute microphone").click()
    caller.page.get_by_label("Conversation").focus()
    caller.page.keyboard.down("Space")
    held = caller.peer["enabled"]
    caller.page.keyboard.up("Space")

    assert (held, caller.peer["enabled"]) == (True, False)


def test_the_details_open_and_close_on_a_phone(caller: Caller) -> None:
    caller.open().call()
    caller.page.get_by_role("button", name="Details of the call").click()
    opened = caller.page.get_by_role("heading", name="Wait per turn").is_visible()
    caller.page.keyboard.press("Escape")

    assert opened
    assert not caller.page.get_by_role("heading", name="Wait per turn").is_visible()
    assert caller.page.evaluate("document.activeElement.id") == "details"
    assert caller.sent == []


# to keep


def test_the_transcript_and_the_record_can_be_kept(browser: Any) -> None:
    with chrome.caller(browser, viewport={"width": 1280, "height": 800}) as caller:
        caller.open().call()
        caller.hears("response.created", response={"id": "resp_1"})
        says(caller, "resp_1", "item_a", "final_answer", "It rains.")
        with caller.page.expect_download() as text:
            caller.page.get_by_role("button", name="Transcript").click()
        with caller.page.expect_download() as record:
            caller.page.get_by_role("button", name="JSON record").click()

        assert text.value.suggested_filename == f"{CALL}.md"
        assert "**Greeting:** It rains.\n" in text.value.path().read_text()
        assert json.loads(record.value.path().read_text()) == {"events": [], "items": [], "tools": []}
