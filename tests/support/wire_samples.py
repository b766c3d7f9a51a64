"""One sample of everything that travels or is kept; golden.txt holds the bytes of each, by name."""

import msgspec

from trunkline.proto import approval, generation, placement, record, response, speaking, speech, tool
from trunkline.proto.audio import AudioBatch, AudioChunk, encode_batch
from trunkline.proto.envelope import Envelope, Message, attach_number, encode
from trunkline.proto.image import ShownImage

PICTURE = ShownImage("file_a", 5, "high", "image/png", 640, 480, 12_345)

HEARD = response.SegmentHeard("item_a", 1, 4800, 24000)

ASKED = response.Asked(
    (tool.DescribedTool("open_page", "Opens a page.", "{}"),),
    "open_page",
    400,
    (
        response.Inserted("reference", "item_u"),
        response.Inserted("message", "item_a", "assistant", "One moment.", "commentary"),
        response.Inserted("function_call", "item_c", text="{}", call_id="call_a", name="open_page"),
        response.Inserted("function_call_output", "item_o", text="done", call_id="call_a"),
    ),
    True,
)

PROMPT = generation.Prompt("Be kind.", ASKED.context or (), ASKED.tools or (), "auto", "gpt-5.5", True, 400, "low", 0.5)

MESSAGES: list[Message] = [
    placement.Accepted(),
    placement.Declined("full", "8 calls", 1.5),
    placement.Release("caller_hung_up"),
    placement.CallFailed("RuntimeError: broken"),
    placement.Acknowledge(True),
    speech.Listen(7, 320, speech.TurnRules(dictations=(r"\d{4}",)), "en"),
    speech.Tune(speech.TurnRules(False, 0.6, 200, 700, 1500, ())),
    speech.Finish(3, 1600, 48000),
    speech.Discard(48000),
    speech.SpeechStarted(1, 16000),
    speech.SpeechStopped(1, 32000),
    speech.Partial(1, "what is", 24000),
    speech.Final(1, "What is the weather in Tokyo?", 16000, 32000, 41.5),
    speech.Silent(64000),
    speech.AudioMissing(6400),
    speech.RecognitionFailed(2, "engine failed"),
    speaking.Speak(7, "joe"),
    speaking.Synthesise(1, "One moment.", "joe", 1.1, 240, True),
    speaking.Hush(4),
    speaking.SegmentSpoken(1, 24000, 72.0),
    speaking.SegmentFailed(2, "queue full"),
    response.Converse(1, "gateway-abc", "front desk", "Be kind.", "text"),
    response.Attached("front desk", "d1g35t", "resp_a", "joe", "Be kind.", (r"\d{4}",)),
    response.Turn(1, "item_u", "Where is my order?", "speech", 16000, 32000, True, "item_p"),
    response.Retract(1, "item_u"),
    response.Respond("Be brief."),
    response.Played(HEARD),
    response.Interrupt("resp_a", "turn_detected", (HEARD,)),
    response.ResponseStarted("resp_a", 1),
    response.ItemStarted("resp_a", "item_a", "commentary", "model"),
    response.Say("resp_a", "item_a", 0, "One moment."),
    response.PhaseSettled("resp_a", "item_a", "final_answer"),
    response.ItemFinished("resp_a", "item_a", "One moment.", None),
    response.ResponseFinished("resp_a", "completed", "", 120, 30),
    response.HangUp("goodbye"),
    tool.RunTool("call_a", "get_weather", '{"city":"Tokyo"}', "call_a", 1_800_000_000_000_000, "d1g35t", "{}"),
    tool.ToolStarted("call_a", "tool_runner-x"),
    tool.ToolResult("call_a", "ok", '"18 degrees"', "tool_runner-x", 12.5, '{"seen":true}'),
    tool.ToolDeclined("call_a", "digest", "tool_runner-x"),
    tool.CancelTool("call_a"),
    placement.Superseded(attach_number(2, 1)),
    placement.HangUpCall(),
    speech.Listened(64000),
    response.Converse(2, "gateway-abc", "front desk", "Be kind.", "text", "agent-x: no heartbeat"),
    response.Turn(1, "item_u", "Where is my order?", "speech", 16000, 32000, True, "item_p", "resp_b"),
    response.Respond("Be brief.", "resp_b"),
    response.Recall(
        (response.ResponseStarted("resp_a", 1), response.Say("resp_a", "item_a", 0, "One moment.")),
        ("resp_a",),
        True,
        3,
    ),
    response.Recall(
        (response.ResponseStarted("resp_a", 1), response.Say("resp_a", "item_a", 0, "One moment.")),
        ("resp_a",),
        True,
        3,
        response.SegmentHeard("item_a", 0, 2400, 0),
    ),
    response.Stored(9, 4),
    response.Placed("stt", "stt-x", "no heartbeat"),
    response.CallerLost(48000),
    tool.RunTool("call_a", "get_weather", '{"city":"Tokyo"}', "call_a", 1_800_000_000_000_000, "d1g35t", "{}", 2),
    tool.RunTool("call_a", "orders_find", "{}", "call_a", 1_800_000_000_000_000, "d1g35t", "{}", 1, "p1n"),
    response.Attached("front desk", "d1g35t", "resp_a", "joe", "Be kind.", (r"\d{4}",), 8.5),
    response.ItemStarted("resp_a", "item_a", "commentary", "tool", "amy"),
    response.CallerAway(2, "resp_b"),
    approval.DecideApproval("appr_a", "approve", "anna", "We refund half of it.", "the manager agrees", "order_a"),
    approval.ApprovalAnswered("appr_a", "decided_before", "denied", "bert", "too late", "order_a"),
    tool.ToolProgress("call_a", "still looking…"),
    tool.DescribeTools("stock", "d1g35t"),
    tool.ToolsDescribed("stock", "d1g35t", (tool.DescribedTool("find", "Finds an item.", "{}"),), "2 left out"),
    response.Attached("front desk", "d1g35t", "resp_a", "joe", "Be kind.", (r"\d{4}",), 8.5, ("lookup",)),
    response.Interrupt("resp_a", "turn_detected", (HEARD,), ("call_a",)),
    response.Equip((tool.DescribedTool("open_page", "Opens a page.", "{}"),), "required"),
    response.ToolAsked("resp_a", "call_a", "open_page", '{"page":7}'),
    response.ToolOutput("call_a", '"opened"'),
    response.Attached(
        "desk", "d1g35t", "resp_a", "joe", "Be kind.", (r"\d{4}",), 8.5, ("lookup",), ("desk", "billing")
    ),
    response.Respond("Be brief.", "resp_b", ASKED),
    response.Equip((tool.DescribedTool("open_page", "Opens a page.", "{}"),), "required", False, 400, "low"),
    response.ToolOutput("call_a", '"opened"', "item_o"),
    response.Insert(response.Inserted("message", "item_s", "system", "Be kind."), response.ROOT),
    response.Summon("billing"),
    placement.Accepted(("joe",), ("en",)),
    response.Turn(1, "item_u", "Look: this.", "text", previous="item_p", images=(PICTURE,)),
    response.Insert(response.Inserted("message", "item_s", "user", "Look: this.", images=(PICTURE,)), response.ROOT),
    generation.Generate(2, 140_000),
    generation.PromptPart(b"\x9a\xa0"),
    generation.GeneratedText("One moment.", "commentary"),
    generation.GeneratedMessageEnded(),
    generation.GeneratedCall("call_a", "get_weather", '{"city":"Tokyo"}'),
    generation.Generated(120, 30, 64, 8, "max_output_tokens", "gpt-5.5"),
    generation.GenerationFailed("context_length_exceeded", "it is too long", "input", True),
    speech.Listen(7, 320, speech.TurnRules(dictations=(r"\d{4}",)), "en", joined=True),
    speech.Silent(64000, 72000),
    speech.Heard([speech.HeardCall("rtc_03_abc", attach_number(1, 5), 4, 72000, 64000)]),
]

EVENTS: list[record.Event] = [
    record.Configured(1, "front desk", '{"voice":"joe"}'),
    record.OwnerTook(2, "agent-x", "front desk", "d1g35t"),
    record.HubAttached(3, 1, "gateway-abc"),
    record.CallerSaid(4, 1, "item_u", "Where is my order?", "speech", 16000, 32000, ""),
    record.ItemDeleted(5, "item_u"),
    record.ResponseOpened(6, "resp_a", 1),
    record.AssistantItem(7, "resp_a", "item_a", None, "model"),
    record.SegmentSaid(8, "item_a", 0, "One moment."),
    record.ItemPhaseSettled(9, "item_a", "commentary"),
    record.ItemClosed(10, "item_a"),
    record.ItemTruncated(11, "item_a", "One", 4800, True),
    record.PlayedOut(12, "item_a", 0, 24000),
    record.ResponseClosed(13, "resp_a", "cancelled", "turn_detected"),
    record.ToolIntended(14, "call_a", "resp_a", "get_weather", '{"city":"Tokyo"}', "call_a", 99),
    record.ToolFinished(15, "call_a", "ok", '"18 degrees"', "tool_runner-x", 12.5, "{}"),
    record.Ended(16, "caller_hung_up"),
    record.OwnerTook(2, "agent-x", "front desk", "d1g35t", attach_number(2, 1), "agent-y: no heartbeat"),
    record.StageMoved(17, "stt", "stt-x", "no heartbeat"),
    record.AudioLost(18, 48000),
    record.ResponseOpened(6, "resp_a", 0, "Be short."),
    record.ToolIntended(14, "call_a", "resp_a", "get_weather", '{"city":"Tokyo"}', "call_a", 99, "item_a"),
    record.ToolIntended(14, "call_a", "resp_a", "end_call", "{}", "call_a", 99, "item_a", "agent"),
    record.AssistantItem(7, "resp_a", "item_a", None, "person", "refunds", "amy"),
    record.VerdictGiven(19, "input", "item_u", "rewrite", "cards", "a card number", "refunds", "My card is [card]."),
    record.ApprovalAsked(20, "appr_a", "tool", "call_a", "resp_a", "refund", '{"order":7}', 140, "deny"),
    record.ApprovalDecided(21, "appr_a", "approved", "anna", "We refund half of it.", "the manager agrees", 999),
    record.HandedOff(22, "resp_a", "refunds", "call_a", "wants money back"),
    record.TransferAsked(23, "call_a", "sip:desk@example.com", "wants a person"),
    record.ClientEquipped(24, (tool.DescribedTool("open_page", "Opens a page.", "{}"),), "required"),
    record.ClientEquipped(24, (tool.DescribedTool("open_page", "Opens a page.", "{}"),), "required", False, 400, "low"),
    record.ResponseOpened(6, "resp_a", 0, "Be short.", ("call_a",), ASKED),
    record.ToolFinished(15, "call_a", "ok", '"opened"', "client", 12.5, "{}", "item_o"),
    record.ItemInserted(25, response.Inserted("message", "item_s", "system", "Be kind."), response.ROOT),
    record.CallerSaid(4, 1, "item_u", "Look: this.", "text", previous="item_p", images=(PICTURE,)),
]


BEAT = placement.Beat(
    "agent", "agent-x", 3, 500, False, "0.9.0", "d1g35t", 4711, 40_123, ("front desk",), "nats-1", (3, 11), 8
)


def enveloped(message: Message) -> Envelope:
    return Envelope("rtc_03_abc", "gateway.gateway-abc", 2, attach_number(1, 5), 9, 4, 1_700_000_000_000_000, message)


def encodings() -> dict[str, bytes]:
    """Name to bytes, as this release writes them."""
    named = {f"message {type(message).__name__}": encode(enveloped(message)) for message in MESSAGES}
    for event in EVENTS:
        entry = record.RecordEntry(record.RECORD_VERSION, 3, 17, "entry_a", [event])
        named[f"event {type(event).__name__}"] = record.encode_entry(entry)
    named["beat Beat"] = msgspec.msgpack.encode(BEAT)
    chunk = AudioChunk(7, attach_number(1, 5), 2, 4800, b"\x01\x00\xff\x7f", True)
    named["audio AudioBatch"] = encode_batch(AudioBatch("tts.tts-x", [chunk]))
    waits = approval.OpenApproval("appr_a", "tool", "refund", '{"order":7}', 20, 140, "deny")
    summary = record.CallSummary("rtc_03_abc", "front desk", 1, 0, 3, "live", "agent-x", "gateway-abc", (waits,))
    named["index CallSummary"] = record.encode_summary(summary)
    result = tool.ToolResult("call_a", "ok", '"18 degrees"', "tool_runner-x", 12.5)
    named["claim Claim"] = record.encode_claim(record.Claim(1, "tool_runner-x", 3, result))
    named["prompt Prompt"] = generation.encode_prompt(PROMPT)
    return named
