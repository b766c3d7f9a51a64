"""The page as its caller meets it: keys, refusals, microphone, writing, interruptions, the end. Without a gateway."""

from collections.abc import Iterator
from typing import Any

import pytest

from page import chrome
from page.chrome import CALL, KEY, Caller, alert, message, says
from support import chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing()),
]
NO_MICROPHONE = (
    "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"
)
UNLABELLED = """() => [...document.querySelectorAll('button, input:not([type=file]), select')].filter(
    e => !(e.ariaLabel || e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.browser() as running:
        yield running


@pytest.fixture
def caller(browser: Any) -> Iterator[Caller]:
    with chrome.caller(browser) as caller:
        yield caller


# keys


def test_a_key_in_the_address_is_used_and_gone_from_the_address(caller: Caller) -> None:
    caller.open().call()

    assert caller.page.url == chrome.ADDRESS
    assert caller.page.evaluate("sessionStorage.length + localStorage.length") == 1
    assert caller.desk.asked_for_calls == [
        ("POST v1/realtime/client_secrets", KEY),
        ("POST v1/realtime/calls", "ek_made"),
    ]


def test_a_key_for_one_call_is_used_as_it_is_and_reads_no_record(caller: Caller) -> None:
    caller.open("#key=ek_given").call()
    caller.hears("response.created", response={"id": "resp_1"})
    caller.hears("response.done", response={"id": "resp_1", "status": "completed", "output": []})
    caller.page.wait_for_timeout(400)

    assert caller.desk.asked_for_calls == [("POST v1/realtime/calls", "ek_given")]


def test_without_a_key_the_page_asks_for_one(caller: Caller) -> None:
    caller.open("").page.keyboard.press("Tab")
    caller.page.get_by_role("button", name="Call", exact=True).click()

    assert alert(caller) == "An API key is needed to call."
    assert caller.page.evaluate("document.activeElement.id") == "key"
    assert caller.desk.asked_for_calls == []


def test_a_wrong_key_is_said_to_be_wrong_and_asked_for_again(caller: Caller) -> None:
    refusal = {"status": 401, "json": {"error": {"message": "no", "code": "invalid_api_key"}}}
    caller.desk.answers["POST v1/realtime/client_secrets"] = refusal
    caller.open()
    caller.page.get_by_role("button", name="Call", exact=True).click()
    caller.page.get_by_role("alert").wait_for()

    assert "isn’t accepted" in alert(caller)
    assert caller.page.get_by_label("API key").get_attribute("aria-invalid") == "true"
    assert caller.page.evaluate("sessionStorage.length") == 0


# refusals


def test_a_gateway_that_is_full_says_when_to_call_again(caller: Caller) -> None:
    problem = {"error": {"message": "it has its 2 calls", "code": "overloaded"}}
    caller.desk.answers["POST v1/realtime/calls"] = {"status": 503, "headers": {"Retry-After": "2"}, "json": problem}
    caller.open()
    caller.page.get_by_role("button", name="Call", exact=True).click()
    caller.page.get_by_role("button", name="Call again in 2 s").wait_for()

    assert alert(caller) == "All lines are taken: it has its 2 calls"
    assert caller.page.locator("#call").is_disabled()
    caller.page.get_by_role("button", name="Call", exact=True).wait_for()
    assert caller.page.locator("#call").is_enabled()


def test_a_refusal_is_told_in_the_gateways_words(caller: Caller) -> None:
    refusal = {"status": 501, "json": {"error": {"message": "WebRTC is not installed here", "code": "not_supported"}}}
    caller.desk.answers["POST v1/realtime/calls"] = refusal
    caller.open()
    caller.page.get_by_role("button", name="Call", exact=True).click()
    caller.page.get_by_role("alert").wait_for()

    assert alert(caller) == "The call was refused: WebRTC is not installed here"
    assert caller.peer["track"] == "ended"


def test_a_call_that_takes_too_long_can_be_cancelled(caller: Caller) -> None:
    caller.desk.silent_about.add("POST v1/realtime/calls")
    caller.open()
    with caller.page.expect_request("**/v1/realtime/calls"):
        caller.page.get_by_role("button", name="Call", exact=True).click()
    caller.page.get_by_role("button", name="Cancel").click()
    caller.page.get_by_role("button", name="Call", exact=True).wait_for()

    assert caller.peer["isClosed"] is True
    assert caller.peer["track"] == "ended"
    assert not caller.page.get_by_role("alert").is_visible()


# the microphone


def test_who_refuses_the_microphone_can_write(caller: Caller) -> None:
    caller.page.add_init_script(NO_MICROPHONE)
    caller.open().call()
    caller.writes("Where is my order?")

    assert "you can type" in alert(caller)
    assert caller.peer["direction"] == "recvonly"
    assert not caller.page.locator("#mute").is_visible()
    assert caller.sent_types == ["conversation.item.create", "response.create"]
    assert caller.sent[0]["item"]["content"] == [{"type": "input_text", "text": "Where is my order?"}]


def test_one_may_call_without_being_asked_for_the_microphone(caller: Caller) -> None:
    caller.open().call("Without microphone")

    assert caller.peer["direction"] == "recvonly"
    assert not caller.page.get_by_role("alert").is_visible()


def test_a_muted_microphone_is_silent_until_it_is_not(caller: Caller) -> None:
    caller.open().call()
    caller.page.get_by_role("button", name="Mute microphone").click()
    muted = caller.peer["enabled"]
    caller.page.get_by_role("button", name="Unmute microphone").click()

    assert (muted, caller.peer["enabled"]) == (False, True)


# the conversation


def test_phases_look_different_and_are_named(caller: Caller) -> None:
    caller.open().call()
    caller.hears("response.created", response={"id": "resp_0"})
    says(caller, "resp_0", "item_g", "final_answer", "Hello.")
    caller.hears("response.done", response={"id": "resp_0", "status": "completed", "output": []})
    caller.hears("input_audio_buffer.committed", item_id="item_u")
    caller.hears("response.created", response={"id": "resp_1"})
    says(caller, "resp_1", "item_c", "commentary", "One moment.")
    says(caller, "resp_1", "item_a", "final_answer", "It rains.")
    lines = caller.page.locator("#lines > .line")

    assert [line.get_attribute("class") for line in lines.all()] == [
        "line agent greeting",
        "line user pending",
        "line agent commentary",
        "line agent answer",
    ]
    labels = [text.split()[0] for text in caller.page.locator("#lines .label").all_inner_texts()]
    assert labels == ["Greeting", "You", "Progress", "Answer"]
    style = "e => { const s = getComputedStyle(e); return [s.fontSize, s.fontStyle, s.color].join() }"
    looks = [caller.page.locator(f".{name} .words").evaluate(style) for name in ("commentary", "answer")]
    assert looks[0] != looks[1]


def test_an_interrupted_answer_is_marked_where_it_was_cut(caller: Caller) -> None:
    caller.open().call()
    caller.hears("input_audio_buffer.committed", item_id="item_u")
    caller.hears("response.created", response={"id": "resp_1"})
    says(caller, "resp_1", "item_a", "final_answer", "Your order was shipped yesterday.")
    cut = message("item_a", "final_answer", "incomplete", "Your order was shipped yesterday.")
    caller.hears("response.done", response={"id": "resp_1", "status": "cancelled", "output": [cut]})
    caller.hears("conversation.item.truncated", item_id="item_a", content_index=0, audio_end_ms=1_200)
    asked = caller.sent[-1]
    caller.hears("conversation.item.retrieved", item=message("item_a", "final_answer", "incomplete", "Your order was"))

    assert (asked["type"], asked["item_id"]) == ("conversation.item.retrieve", "item_a")
    words = caller.page.locator(".answer .words")
    assert words.inner_text() == "Your order was interrupted at 1.2 s shipped yesterday."
    assert words.locator("s").inner_text() == "shipped yesterday."


def test_a_tool_of_the_server_comes_from_the_record(caller: Caller) -> None:
    tool = {"id": "call_1", "name": "get_weather", "arguments": {"city": "Tokyo"}, "response": "resp_1"}
    record = {
        "events": [{"type": "response_done", "response": "resp_1"}],
        "items": [],
        "tools": [tool | {"status": "ok", "result": "18 degrees"}],
    }
    caller.desk.answers[f"GET v1/calls/{CALL}"] = {"json": record}
    caller.open().call()
    caller.hears("response.created", response={"id": "resp_1"})
    says(caller, "resp_1", "item_a", "final_answer", "It is mild.")
    caller.hears("response.done", response={"id": "resp_1", "status": "completed", "output": []})
    caller.page.locator(".tool").wait_for()

    assert caller.page.locator(".tool").inner_text() == "Tool get_weather(city: Tokyo) done\n\n18 degrees"
    assert (f"GET v1/calls/{CALL}", KEY, "") in caller.desk.asked


def test_a_tool_that_the_client_should_run_is_answered_honestly(caller: Caller) -> None:
    item = {"id": "item_f", "type": "function_call", "call_id": "call_f", "name": "open_door"}
    done = item | {"status": "completed", "arguments": '{"door": "left"}'}
    caller.open().call()
    caller.hears("response.created", response={"id": "resp_1"})
    caller.hears("response.output_item.added", response_id="resp_1", item=item | {"status": "in_progress"})
    caller.hears("response.output_item.done", response_id="resp_1", item=done)
    before = caller.sent
    caller.hears("response.done", response={"id": "resp_1", "status": "completed", "output": [done]})

    assert before == []
    assert caller.sent_types == ["conversation.item.create", "response.create"]
    assert caller.sent[0]["item"]["call_id"] == "call_f"
    assert "not carried out" in caller.sent[0]["item"]["output"]
    assert "Client tool open_door(door: left)" in caller.page.locator(".tool").inner_text()


@pytest.mark.parametrize(("button", "is_told"), [("Call", True), ("Without microphone", False)])
def test_only_who_has_a_microphone_is_told_how_to_talk_while_muted(caller: Caller, button: str, is_told: bool) -> None:
    caller.page.set_viewport_size({"width": 1280, "height": 800})
    caller.open().call(button)

    assert caller.page.get_by_text("muted, hold Space to talk").is_visible() is is_told
    assert caller.page.get_by_text("drop or paste a picture").is_visible()


def test_who_writes_while_the_agent_speaks_interrupts_it(caller: Caller) -> None:
    caller.open().call()
    caller.hears("response.created", response={"id": "resp_1"})
    caller.writes("Stop.")
    interrupting = caller.sent_types
    caller.hears("response.done", response={"id": "resp_1", "status": "cancelled", "output": []})

    assert interrupting == ["response.cancel", "output_audio_buffer.clear"]
    assert caller.sent_types[2:] == ["conversation.item.create", "response.create"]


def test_an_answer_that_was_asked_for_in_writing_is_interrupted_too(caller: Caller) -> None:
    caller.open().call()
    caller.writes("Where is my order?")
    asked = caller.sent[-1]["event_id"]  # over a WebSocket the gateway names the response so
    caller.hears("response.created", response={"id": asked})
    caller.page.keyboard.press("Escape")

    assert caller.sent_types[2:] == ["response.cancel", "output_audio_buffer.clear"]
    assert caller.sent[2]["response_id"] == asked


def test_a_message_that_meets_another_response_is_answered_after_it(caller: Caller) -> None:
    busy = {"type": "invalid_request_error", "code": "conversation_already_has_active_response", "message": "no"}
    caller.open().call()
    caller.writes("Hello?")
    asked = caller.sent[-1]["event_id"]
    caller.hears("response.created", response={"id": "resp_of_speech"})
    caller.hears("error", error=busy | {"event_id": asked})
    caller.hears("response.done", response={"id": "resp_of_speech", "status": "completed", "output": []})

    assert caller.sent_types == ["conversation.item.create", "response.create", "response.create"]
    assert caller.page.locator(".notice").count() == 0


def test_an_error_of_the_gateway_is_shown(caller: Caller) -> None:
    caller.open().call()
    caller.hears("error", error={"type": "server_error", "code": "stage_lost", "message": "no agent is left"})

    assert caller.page.locator(".notice.bad").inner_text() == "no agent is left"


def test_what_is_said_never_becomes_markup(caller: Caller) -> None:
    caller.open().call()
    caller.hears("response.created", response={"id": "resp_1"})
    says(caller, "resp_1", "item_a", "final_answer", "<img src=x onerror=alert(1)><b>bold</b>")

    assert caller.page.locator("#lines img, #lines b").count() == 0
    assert caller.page.locator(".words").inner_text() == "<img src=x onerror=alert(1)><b>bold</b>"


# the end


def test_hanging_up_closes_connection_and_microphone(caller: Caller) -> None:
    caller.open().call()
    caller.page.get_by_role("button", name="Hang up").click()
    caller.page.get_by_role("button", name="Call again").wait_for()

    assert caller.peer["isClosed"] is True
    assert caller.peer["track"] == "ended"
    assert caller.page.locator(".notice").inner_text().startswith("You hung up.")


def test_a_page_that_goes_away_hangs_up(caller: Caller) -> None:
    caller.open().call()
    with caller.page.expect_request("**/hangup"):
        caller.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")

    assert (f"POST v1/realtime/calls/{CALL}/hangup", KEY, "") in caller.desk.asked


@pytest.mark.parametrize(
    ("what", "why"),
    [("standIn.lose()", "The connection was lost."), ("standIn.end()", "The call was ended by the other side.")],
)
def test_an_end_that_the_caller_did_not_wish_is_told(caller: Caller, what: str, why: str) -> None:
    caller.open().call()
    caller.page.evaluate(what)
    caller.page.get_by_role("button", name="Call again").wait_for()

    assert caller.page.locator(".notice").inner_text().startswith(why)
    assert caller.peer["track"] == "ended"


def test_the_next_call_begins_with_an_empty_page(caller: Caller) -> None:
    caller.open().call()
    caller.hears("error", error={"code": "x", "message": "of the first call"})
    caller.page.get_by_role("button", name="Hang up").click()
    caller.call("Call again")

    assert caller.page.locator("#lines > .line").count() == 0


# reach


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_is_wider_than_the_screen(browser: Any, width: int) -> None:
    with chrome.caller(browser, viewport={"width": width, "height": 700}) as caller:
        caller.open("")
        widths = [caller.page.evaluate("document.documentElement.scrollWidth")]
        caller.open().call()
        caller.hears("response.created", response={"id": "resp_1"})
        says(caller, "resp_1", "item_a", "final_answer", "W" * 300)
        widths.append(caller.page.evaluate("document.documentElement.scrollWidth"))

        assert widths == [width, width]


def test_every_control_has_a_name_and_the_transcript_is_read_out(caller: Caller) -> None:
    caller.open().call()

    assert caller.page.evaluate(UNLABELLED) == []
    log = caller.page.get_by_role("log", name="Transcript")
    assert log.get_attribute("aria-live") == "polite"


def test_the_state_is_read_out_and_who_speaks_only_seen(caller: Caller) -> None:
    caller.open().call()
    caller.hears("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)

    assert caller.page.get_by_role("status").text_content() == "Connected"
    assert caller.page.locator("#sound").inner_text() == "Hearing you"
    caller.hears("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=100)
    assert caller.page.get_by_role("status").inner_text() == "Connected"


def test_the_keyboard_is_enough_to_call_write_and_hang_up(caller: Caller) -> None:
    caller.open("")
    caller.page.get_by_label("API key").focus()
    caller.page.keyboard.type("sk-typed")
    caller.page.keyboard.press("Enter")
    caller.page.get_by_role("button", name="Hang up").wait_for()
    caller.page.get_by_label("Message to the agent").focus()
    caller.page.keyboard.type("Hello")
    caller.page.keyboard.press("Enter")
    caller.page.keyboard.press("Tab")
    caller.page.keyboard.press("Tab")
    caller.page.keyboard.press("Enter")
    caller.page.get_by_role("button", name="Call again").wait_for()

    assert caller.sent_types == ["conversation.item.create", "response.create"]
    assert caller.desk.asked_for_calls[0][1] == "sk-typed"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_systems_colours(browser: Any, scheme: str) -> None:
    with chrome.caller(browser, color_scheme=scheme) as caller:
        caller.open("")
        colour = caller.page.evaluate("getComputedStyle(document.body).backgroundColor")

        assert (sum(int(part) for part in colour[4:-1].split(",")) < 384) is (scheme == "dark")
