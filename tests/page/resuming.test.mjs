// What lets a lost WebSocket be taken up: the tape of the caller's audio, and the story of what was told and said.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Story } from "../../services/trunkline/gateway/page/story.js";
import { RATE_HZ, Tape } from "../../services/trunkline/gateway/page/tape.js";

const ms = (count, first = 0) => Int16Array.from({ length: (count * RATE_HZ) / 1000 }, (_, index) => (first + index) % 32_000);
const joined = (pieces) => pieces.flatMap((piece) => [...piece]);

/** Of a story: what came of these events, nulls left out. */
const told = (story, events) => events.map((event) => story.news(event)).filter((event) => event !== null);

const audio = (segment, position, samples) => ({ type: "response.output_audio.delta", response_id: "resp_1", item_id: "item_a", segment, position, samples, delta: "" });
const created = { type: "response.created", response: { id: "resp_1", status: "in_progress" } };
const done = (status, reason) => ({ type: "response.done", response: { id: "resp_1", status, status_details: { reason } } });
const message = (id, content) => ({ type: "conversation.item.create", event_id: `event_${id}`, item: { id, type: "message", role: "user", content } });

// the tape

test("audio is given again from where a gateway wants it, and none of it is lost or doubled", () => {
  const tape = new Tape();
  for (let at = 0; at < 1_000; at += 20) tape.append(ms(20, (at * RATE_HZ) / 1000));
  const again = joined(tape.from(310));

  assert.deepEqual(again, [...ms(1_000)].slice((310 * RATE_HZ) / 1000));
});

test("no piece is longer than a message should be", () => {
  const tape = new Tape();
  tape.append(ms(1_010));

  assert.deepEqual(tape.from(0).map((piece) => piece.length), [...Array(5).fill(4_800), 240]);
});

test("what is settled is let go", () => {
  const tape = new Tape();
  for (let piece = 0; piece < 10; piece++) tape.append(ms(100));
  tape.settle(450);

  assert.deepEqual(tape.extent, { settled_ms: 450, kept_from_ms: 400, end_ms: 1_000 });
});

test("half a minute is kept and no more", () => {
  const tape = new Tape();
  for (let second = 0; second < 40; second++) tape.append(ms(1_000));

  assert.deepEqual(tape.extent, { settled_ms: 0, kept_from_ms: 10_000, end_ms: 40_000 });
});

test("a gateway that wants audio which is gone gets what there is", () => {
  const tape = new Tape();
  for (let second = 0; second < 40; second++) tape.append(ms(1_000));

  assert.equal(joined(tape.from(2_000)).length, 30 * RATE_HZ);
});

// the story

test("what is told again is heard once", () => {
  const added = { type: "response.output_item.added", response_id: "resp_1", item: { id: "item_a" } };
  const words = { type: "response.output_audio_transcript.delta", response_id: "resp_1", item_id: "item_a", segment: 0, delta: "Hello" };
  const next = { ...words, segment: 1, delta: " there" };
  const story = new Story();
  const before = told(story, [created, added, words]);

  assert.deepEqual(before, [created, added, words]);
  assert.deepEqual(told(story, [created, added, words, next]), [next]);
});

test("audio that came in part is cut at the sample", () => {
  const story = new Story();
  const heard = told(story, [audio(0, 0, 2_400), audio(0, 0, 2_400), audio(0, 1_200, 2_400), audio(0, 3_600, 100), audio(1, 0, 50)]);

  assert.deepEqual(heard.map(({ segment, position, samples, skip }) => [segment, position, samples, skip ?? 0]), [
    [0, 0, 2_400, 0],
    [0, 1_200, 2_400, 1_200],
    [0, 3_600, 100, 0],
    [1, 0, 50, 0],
  ]);
});

test("nothing of a response comes after its end", () => {
  const story = new Story();

  assert.deepEqual(told(story, [created, done("completed"), audio(0, 0, 10), done("completed")]).length, 2);
});

test("other words for the same audio are news", () => {
  const words = (transcript) => ({ type: "conversation.item.input_audio_transcription.completed", item_id: "item_u", transcript });

  assert.equal(told(new Story(), [words("Weight."), words("Weight."), words("Wait.")]).length, 2);
});

test("the next gateway is told where the call stands", () => {
  const story = new Story();
  const texts = [message("item_1", [{ type: "input_text", text: "Hello" }]), message("item_2", [{ type: "input_image", file_id: "file_1" }])];
  const output = { type: "conversation.item.create", event_id: "event_o", item: { id: "item_o", type: "function_call_output", call_id: "call_1", output: "{}" } };
  told(story, [{ type: "input_audio_buffer.speech_started", item_id: "item_u", audio_start_ms: 700 }, created, audio(0, 0, 480)]);
  for (const event of [...texts, output, { type: "response.create", event_id: "resp_mine" }]) story.said(event);

  assert.deepEqual(story.resume({ settled_ms: 500, kept_from_ms: 500, end_ms: 900 }, 1), {
    type: "trunkline.resume",
    settled_ms: 500,
    kept_from_ms: 500,
    end_ms: 900,
    attempt: 1,
    received: [{ item_id: "item_a", segment: 0, samples: 480 }],
    begun: [{ item_id: "item_u", start_ms: 700 }],
    typed: [
      { item_id: "item_1", text: "Hello", event_id: "event_item_1" },
      { item_id: "item_2", text: "", event_id: "event_item_2", content: [{ type: "input_image", file_id: "file_1" }] },
    ],
    outputs: [{ item_id: "item_o", call_id: "call_1", output: "{}", event_id: "event_o" }],
    cancelled: [],
    responses: ["resp_1"],
    respond: "",
    respond_id: "resp_mine",
  });
});

test("what has been answered or refused isn't asked for again", () => {
  const asked = { type: "response.create", event_id: "resp_mine" };
  const answered = new Story(), refused = new Story(), cut = new Story();
  answered.said(asked);
  answered.news(created);
  refused.said(asked);
  refused.said(message("item_1", [{ type: "input_text", text: "Hello" }]));
  told(refused, [{ type: "error", error: { event_id: "resp_mine" } }, { type: "error", error: { event_id: "event_item_1" } }]);
  told(cut, [created, done("cancelled", "turn_detected")]);
  const [one, two, three] = [answered, refused, cut].map((story) => story.resume({}, 0));

  assert.deepEqual([one.respond_id, two.respond_id, two.typed], [undefined, undefined, []]);
  assert.deepEqual([three.responses, three.cancelled], [[], [{ response_id: "resp_1", reason: "turn_detected" }]]);
});

test("an utterance that is settled is no gateway's to hear again", () => {
  const story = new Story();
  for (const at of [100, 900]) story.news({ type: "input_audio_buffer.speech_started", item_id: `item_${at}`, audio_start_ms: at });
  story.settle(500);

  assert.deepEqual(story.resume({}, 0).begun, [{ item_id: "item_900", start_ms: 900 }]);
});

test("words that another gateway begins anew are told once they are whole", () => {
  const story = new Story();
  const words = (delta, item_id = "item_u") => ({ type: "conversation.item.input_audio_transcription.delta", item_id, delta });
  const whole = { type: "conversation.item.input_audio_transcription.completed", item_id: "item_u", transcript: "hello world" };
  const before = told(story, [words("hello"), words(" wo")]);
  story.resume({}, 0);
  const after = told(story, [words("hello"), words("hi", "item_v"), whole]);

  assert.deepEqual([before.length, after], [2, [words("hi", "item_v"), whole]]);
});
