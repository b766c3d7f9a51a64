// The view that the page folds from events, on a call that was recorded (recorded/) and on short ones written here.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { argumentsText, withRecord } from "../../services/trunkline/gateway/page/record.js";
import { begin, fold, parts, patch, resumed, typed } from "../../services/trunkline/gateway/page/transcript.js";
import { asMarkdown } from "../../services/trunkline/gateway/page/save.js";
import { latencies, stages, waitMs } from "../../services/trunkline/gateway/page/waits.js";

const read = (name) => JSON.parse(readFileSync(new URL(`recorded/${name}.json`, import.meta.url), "utf8"));
const frames = read("events");
const record = read("record");

/** frames: [ms, event]; the event {type: "typed"} stands for a message that the caller wrote. */
function viewOf(frames, view = begin()) {
  return frames.reduce((past, [atMs, event]) => (event.type === "typed" ? typed(past, atMs) : fold(past, event, atMs)), view);
}

const texts = (view, pick) => view.entries.filter(pick).map((entry) => entry.text.trim());
const agents = (view) => view.entries.filter((entry) => entry.kind === "agent");

const created = (id) => ({ type: "response.created", response: { id } });
const added = (response_id, item) => ({ type: "response.output_item.added", response_id, item });
const words = (item_id, delta) => ({ type: "response.output_audio_transcript.delta", item_id, delta });
const closed = (response_id, item) => ({ type: "response.output_item.done", response_id, item });
const done = (id, status = "completed", rest = {}) => ({ type: "response.done", response: { id, status, output: [], ...rest } });
const message = (id, phase, status = "in_progress") => ({ id, type: "message", role: "assistant", status, phase, content: [] });
const call = (status, args) => ({ id: "item_f", type: "function_call", status, call_id: "call_f", name: "open_door", arguments: args });
const started = (id, at) => ({ type: "input_audio_buffer.speech_started", item_id: id, audio_start_ms: at });
const stopped = (id, at) => ({ type: "input_audio_buffer.speech_stopped", item_id: id, audio_end_ms: at });
const committed = (id) => ({ type: "input_audio_buffer.committed", item_id: id });

test("a recorded call reads as it was spoken", () => {
  const view = viewOf(frames);

  assert.deepEqual(texts(view, (entry) => entry.kind === "user"), [
    "What is the weather in Tokyo?",
    "Hi, I would like to know where my order is. The order number is 4712.",
    "Weight stop, I have another question.",
    "When are you open on sunday?",
  ]);
  assert.deepEqual(texts(view, (entry) => entry.phase === "commentary"), [
    "One moment, let me check the weather in Tokyo.",
    "One moment, I am looking up your order.",
    "Let me look at our opening hours.",
  ]);
  assert.equal(view.open, null);
  assert.equal(view.callerSpeaks, false);
});

test("a greeting is told apart from an answer", () => {
  const view = viewOf(frames);

  assert.deepEqual(agents(view).map((entry) => entry.source), ["greeting", "", "", "", "", "", "", ""]);
});

test("words that another gateway tells again stand once, as the record has them", () => {
  const { id, text } = viewOf(frames).entries.find((entry) => entry.state === "cut");
  const twice = patch(viewOf(frames), id, { text: text + text });
  const told = withRecord(twice, record).entries.find((entry) => entry.id === id);

  assert.equal(told.text, "Order 4 7 1 2 was shipped yesterday and arrives tomorrow.");
});

test("every entry is settled when its response is over", () => {
  const view = viewOf(frames);

  assert.deepEqual(new Set(view.entries.map((entry) => entry.state)), new Set(["done", "cut"]));
});

test("an answer that was cut is marked where it was", () => {
  const cut = viewOf(frames).entries.find((entry) => entry.state === "cut");
  const told = withRecord(viewOf(frames), record).entries.find((entry) => entry.state === "cut");

  assert.equal(cut.text, "Order 4 7 1 2 was shipped yesterday ");
  assert.equal(cut.heardMs, 1814);
  assert.deepEqual(parts(told), { heard: "Order 4 7 1 2 was shipped", lost: " yesterday and arrives tomorrow." });
});

test("what was heard may also come by the protocol alone", () => {
  const item = frames.find(([, event]) => event.type === "conversation.item.truncated")[1].item_id;
  const content = [{ type: "output_audio", transcript: "Order 4 7 1 2 " }];
  const view = fold(viewOf(frames), { type: "conversation.item.retrieved", item: { id: item, type: "message", content } }, 0);

  assert.equal(parts(view.entries.find((entry) => entry.id === item)).heard, "Order 4 7 1 2 ");
});

test("the server's tools stand between their progress note and their answer", () => {
  const view = withRecord(viewOf(frames), record);
  const kinds = view.entries.map((entry) => (entry.kind === "agent" ? entry.phase : entry.kind));

  assert.deepEqual(kinds, [
    "final_answer",
    "user", "commentary", "tool", "final_answer",
    "user", "commentary", "tool", "final_answer",
    "user", "final_answer",
    "user", "commentary", "tool", "final_answer",
  ]);
  const tool = view.entries.find((entry) => entry.kind === "tool");
  assert.deepEqual([tool.name, argumentsText(tool.arguments), tool.status, tool.where], ["get_weather", "city: Tokyo", "ok", "server"]);
});

test("a record that is read again changes nothing", () => {
  const once = withRecord(viewOf(frames), record);

  assert.equal(withRecord(once, record), once);
});

test("a tool of an answer that hasn't begun waits for it", () => {
  const early = frames.slice(0, frames.findIndex(([, event]) => event.type === "response.done") + 1);

  assert.equal(withRecord(viewOf(early), record).entries.some((entry) => entry.kind === "tool"), false);
});

test("a filler is known by the record", () => {
  const id = agents(viewOf(frames))[1].id;
  const items = [{ id, status: "completed", source: "filler", text: "", heard_text: "" }];

  assert.equal(agents(withRecord(viewOf(frames), { items, tools: [] }))[1].source, "filler");
});

test("entries that didn't change stay the same objects", () => {
  const before = viewOf(frames.slice(0, -1));
  const after = viewOf([frames.at(-1)], before);

  assert.equal(after.entries[0], before.entries[0]);
});

// latency

test("the wait is counted from the caller's last word, progress and answer apart", () => {
  const view = viewOf([
    [1000, started("item_u", 500)],
    [3500, stopped("item_u", 2500)], // 2 s of speech, noticed half a second later
    [3500, committed("item_u")],
    [3600, created("resp_1")],
    [3600, added("resp_1", message("item_c", "commentary"))],
    [3700, { type: "output_audio_buffer.started", response_id: "resp_1" }],
    [3750, words("item_c", "One moment.")],
    [5000, added("resp_1", message("item_a", "final_answer"))],
    [5200, words("item_a", "Done.")],
  ]);

  assert.deepEqual(latencies(view), [{ response: "resp_1", firstMs: 700, commentaryMs: 750, answerMs: 2200 }]);
});

test("a recorded call has a wait per turn, and none for its greeting", () => {
  const view = viewOf(frames);
  const waits = latencies(view);

  assert.equal(waits.length, 4);
  assert.deepEqual(waits.map((turn) => turn.commentaryMs !== null), [true, true, false, true]);
  assert.ok(waits.every((turn) => turn.answerMs > 0 && turn.answerMs < 5000), JSON.stringify(waits));
  assert.equal(waitMs(view, agents(view)[0]), null);
});

test("a written message's wait begins when it is sent", () => {
  const view = viewOf([
    [100, { type: "typed" }],
    [150, created("resp_1")],
    [150, added("resp_1", message("item_a", "final_answer"))],
    [400, words("item_a", "Yes.")],
  ]);

  assert.equal(latencies(view)[0].answerMs, 300);
});

test("push to talk waits from its commit", () => {
  const view = viewOf([
    [1000, committed("item_u")],
    [1100, created("resp_1")],
    [1100, added("resp_1", message("item_a", null))],
    [1500, words("item_a", "Yes.")],
  ]);

  assert.equal(latencies(view)[0].answerMs, 500);
});

test("speech that became no turn is no turn's wait", () => {
  const view = viewOf([
    [1000, started("item_cough", 500)],
    [1500, stopped("item_cough", 700)],
    [9000, created("resp_1")],
    [9000, added("resp_1", message("item_a", "final_answer"))],
    [9100, words("item_a", "Are you still there?")],
  ]);

  assert.deepEqual(latencies(view), []);
});

// stages

const at = (ms) => new Date(Date.UTC(2026, 10, 27) + ms).toISOString();
const turn = [
  [1000, started("item_u", 500)],
  [3500, stopped("item_u", 2500)],
  [3500, committed("item_u")],
  [3600, created("resp_1")],
  [3600, added("resp_1", message("item_c", "commentary"))],
  [3900, { type: "output_audio_buffer.started", response_id: "resp_1" }],
  [3900, words("item_c", "One moment.")],
  [5000, added("resp_1", message("item_a", "final_answer"))],
  [5200, words("item_a", "Done.")],
];
const times = {
  items: [],
  tools: [],
  events: [
    { type: "response", response: "resp_1", at: at(0) },
    { type: "intent", response: "resp_1", tool_call: "call_1", at: at(40) },
    { type: "result", tool_call: "call_1", at: at(190) },
    { type: "assistant_item", response: "resp_1", item: "item_c", at: at(200) },
    { type: "segment", item: "item_c", at: at(210) },
    { type: "intent", response: "resp_1", tool_call: "call_2", at: at(220) }, // while the note is heard
    { type: "result", tool_call: "call_2", at: at(900) },
  ],
};

test("a wait is told by stage: hearing by events, agent and tools by the record, and the rest is the voice", () => {
  const view = withRecord(viewOf(turn), times);

  assert.deepEqual(stages(view), [
    {
      response: "resp_1",
      parts: [
        { stage: "hear", ms: 500 },
        { stage: "agent", ms: 60 },
        { stage: "tool", ms: 150 },
        { stage: "voice", ms: 190 },
      ],
      firstMs: 900,
      noteMs: 1300,
      answerMs: 2200,
    },
  ]);
  assert.equal(withRecord(view, times), view);
});

test("without a record what comes after hearing is one", () => {
  assert.deepEqual(stages(viewOf(turn))[0].parts, [{ stage: "hear", ms: 500 }, { stage: "reply", ms: 400 }]);
});

test("stages never add up to more than the wait", () => {
  const slow = { ...times, events: times.events.map((event) => ({ ...event, at: at(10 * (Date.parse(event.at) - Date.parse(at(0)))) })) };
  const [{ parts: told, firstMs }] = stages(withRecord(viewOf(turn), slow));

  assert.equal(told.reduce((sum, part) => sum + part.ms, 0), firstMs);
  assert.ok(told.every((part) => part.ms >= 0));
});

test("every turn of a recorded call has stages that add up", () => {
  for (const { parts: told, firstMs } of stages(withRecord(viewOf(frames), record))) {
    assert.equal(told.reduce((sum, part) => sum + part.ms, 0), firstMs);
  }
});

// to keep

test("a transcript to keep reads as the page does", () => {
  const text = asMarkdown(withRecord(viewOf(frames), record), { call: "rtc_1", agent: "frontdesk", when: "today" });

  assert.match(text, /^# Call rtc_1\n\nAgent: frontdesk {2}\nWhen: today {2}\n\n\*\*Greeting:\*\* Hello/);
  assert.match(text, /\*\*You:\*\* What is the weather in Tokyo\?\n\n\*\*Progress \(after \d\.\d s\):\*\* One moment/);
  assert.match(text, /- Tool `get_weather\(city: Tokyo\)`: ok, The weather/);
  assert.match(text, /Order 4 7 1 2 was shipped \[interrupted at 1\.8 s\] ~~yesterday and arrives tomorrow\.~~/);
});

// one thing each

test("a picture that the user showed is counted, and needs no words", () => {
  const shown = { id: "item_p", type: "message", role: "user", content: [{ type: "input_image", detail: "auto" }] };
  const [entry] = viewOf([[0, { type: "conversation.item.added", item: shown }]]).entries;

  assert.deepEqual([entry.pictures, entry.text, entry.state], [1, "", "done"]);
  assert.match(asMarkdown(viewOf([[0, { type: "conversation.item.added", item: shown }]]), { call: "" }), /\*\*You:\*\* \[picture\]/);
});

test("another gateway hears an open turn from its beginning, and adds nothing to words that are there", () => {
  const heard = (delta) => ({ type: "conversation.item.input_audio_transcription.delta", item_id: "item_u", delta });
  const open = resumed(viewOf([[0, started("item_u", 0)], [1, heard("What is")]]));
  const view = viewOf([[2, heard("What")], [3, { type: "conversation.item.input_audio_transcription.completed", item_id: "item_u", transcript: "What?" }], [4, heard("What?")]], open);

  assert.equal(open.entries[0].text, "");
  assert.equal(view.entries[0].text, "What?");
});

test("words may come before their turn is certain, and go if it never is", () => {
  const heard = { type: "conversation.item.input_audio_transcription.delta", item_id: "item_mhm", delta: "Mm" };
  const hearing = viewOf([[0, started("item_mhm", 0)], [10, heard]]);
  const after = viewOf([[20, stopped("item_mhm", 10)], [30, started("item_u", 20)], [40, stopped("item_u", 30)], [40, committed("item_u")]], hearing);

  assert.deepEqual(hearing.entries.map((entry) => [entry.text, entry.state]), [["Mm", "hearing"]]);
  assert.deepEqual(after.entries.map((entry) => entry.id), ["item_u"]);
});

test("a transcription that failed is said to have failed", () => {
  const view = viewOf([[0, committed("item_u")], [1, { type: "conversation.item.input_audio_transcription.failed", item_id: "item_u" }]]);

  assert.equal(view.entries[0].state, "failed");
});

test("a phase that settles late is the phase", () => {
  const open = viewOf([[0, created("resp_1")], [0, added("resp_1", message("item_a", null))], [1, words("item_a", "Well.")]]);
  const settled = viewOf([[2, closed("resp_1", { ...message("item_a", "commentary", "completed") })]], open);

  assert.equal(open.entries[0].phase, null);
  assert.deepEqual([settled.entries[0].phase, settled.entries[0].text], ["commentary", "Well."]);
});

test("a client's tool call is shown with its arguments, and with what was answered", () => {
  const view = viewOf([
    [0, created("resp_1")],
    [0, added("resp_1", call("in_progress", ""))],
    [1, closed("resp_1", call("completed", '{"door":"left"}'))],
    [2, { type: "conversation.item.added", item: { id: "item_o", type: "function_call_output", call_id: "call_f", output: "open" } }],
  ]);

  assert.equal(view.entries.length, 1);
  assert.deepEqual([argumentsText(view.entries[0].arguments), view.entries[0].result, view.entries[0].where], ["door: left", "open", "client"]);
});

test("a cancelled response cuts what it was saying", () => {
  const view = viewOf([
    [0, created("resp_1")],
    [0, added("resp_1", message("item_a", "final_answer"))],
    [1, words("item_a", "Well, ")],
    [2, done("resp_1", "cancelled", { output: [message("item_a", "final_answer", "in_progress")] })],
  ]);

  assert.deepEqual([view.entries[0].state, parts(view.entries[0])], ["cut", { heard: "Well, ", lost: "" }]);
});

test("a failed response is told with its reason", () => {
  const view = viewOf([[0, created("resp_1")], [1, done("resp_1", "failed", { status_details: { error: { message: "no model" } } })]]);

  assert.deepEqual(view.entries.map((entry) => [entry.kind, entry.text]), [["notice", "no model"]]);
});

test("an error of the gateway is told", () => {
  const view = fold(begin(), { type: "error", error: { message: "item_id: no item", code: "item_not_found" } }, 0);

  assert.deepEqual([view.entries[0].kind, view.entries[0].code], ["notice", "item_not_found"]);
});

test("the agent is named by the record, and it is the one who spoke last", () => {
  const items = [{ id: "a", agent: "desk" }, { id: "b", agent: "billing" }, { id: "c", agent: null }];

  assert.equal(withRecord(viewOf(frames), record).agent, "frontdesk");
  assert.equal(withRecord(begin(), { agent: "desk", items, tools: [] }).agent, "billing");
  assert.equal(withRecord(begin(), { agent: "desk", items: [], tools: [] }).agent, "desk");
});

test("sound of an earlier response that ends late silences nobody", () => {
  const view = viewOf([
    [0, { type: "output_audio_buffer.started", response_id: "resp_2" }],
    [1, { type: "output_audio_buffer.stopped", response_id: "resp_1" }],
  ]);

  assert.equal(view.sounding, "resp_2");
});

test("who speaks is known from the events of the sound", () => {
  const speaking = viewOf([[0, created("resp_1")], [1, { type: "output_audio_buffer.started", response_id: "resp_1" }], [2, started("item_u", 0)]]);
  const cleared = fold(speaking, { type: "output_audio_buffer.cleared", response_id: "resp_1" }, 3);

  assert.deepEqual([speaking.sounding, speaking.callerSpeaks], ["resp_1", true]);
  assert.deepEqual([cleared.sounding, cleared.callerSpeaks], [null, true]);
});

test("a deleted item is gone", () => {
  const view = fold(viewOf([[0, committed("item_u")]]), { type: "conversation.item.deleted", item_id: "item_u" }, 1);

  assert.deepEqual(view.entries, []);
});

test("an event that the page doesn't know changes nothing", () => {
  const view = viewOf(frames);

  assert.equal(fold(view, { type: "rate_limits.updated" }, 0), view);
});

for (const [given, shown] of [['{"a":1}', "a: 1"], ["{", "{"], ["", ""], [{ a: { b: [1] } }, 'a: {"b":[1]}'], [null, ""], ["7", "7"]]) {
  test(`arguments ${JSON.stringify(given)} read ${JSON.stringify(shown)}`, () => {
    assert.equal(argumentsText(given), shown);
  });
}
