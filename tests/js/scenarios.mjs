/**
 * Calls that a stock client makes, the same in Node and in a browser, over any of the SDK's transports.
 *
 * Each takes {connect, session, microphone}: where to, further settings of the session, and what makes a microphone for
 * it; each gives what was seen. Whoever started it decides whether that is right.
 */
import { RealtimeAgent, tool } from "@openai/agents/realtime";
import { z } from "zod";
import { call } from "./guide.mjs";
import { Watch } from "./watch.mjs";

const STORY =
  "Once upon a time there was a small town by the sea where it rained every single day of the year. " +
  "The people carried umbrellas to the market, to school and even to their beds. " +
  "One morning a stranger came and asked them why nobody had ever thought of building a roof. " +
  "They looked at each other, they looked at the sky, and they had no answer for him.";

const watching = (session) => new Watch(session);

/** The guide's program as it stands, and one question: speech in, speech out. */
export async function guide({ connect, session, microphone }) {
  const seen = await call(connect, watching, { session });
  const mouth = await microphone(seen.session);
  await mouth.say("order_status");
  const [response] = await seen.responses(1);
  await seen.until(() => transcript(seen, 0), "the caller's words in the history");
  return finish(seen, mouth, { response });
}

/** A tool of the client's own, asked for by voice. */
export async function clientTool({ connect, session, microphone }) {
  const ran = [];
  const weather = tool({
    name: "get_weather",
    description: "Weather forecast for a city: temperature, rain or sun.",
    parameters: z.object({ city: z.string() }),
    async execute({ city }) {
      ran.push(city);
      return `The weather in ${city} is 18 degrees and light rain.`;
    },
  });
  const seen = await call(connect, watching, { agent: { tools: [weather] }, session });
  const mouth = await microphone(seen.session);
  await mouth.say("weather_tokyo");
  await seen.responses(2);
  return finish(seen, mouth, { ran });
}

/** The caller speaks while a long reply is heard. */
export async function bargeIn({ connect, session, microphone }) {
  const seen = await call(connect, watching, { agent: { tools: [story()] }, session });
  const mouth = await microphone(seen.session);
  seen.session.sendMessage("Tell me the story.");
  await seen.until(() => deltas(seen).includes("umbrellas"), "the story");
  await mouth.heard(1.5);
  await mouth.say("wait_stop");
  const truncated = await seen.frame("conversation.item.truncated");
  const silenced = mouth.loudMs?.();
  await seen.until(() => after(seen, "conversation.item.retrieved", truncated), "the item as it was heard");
  await seen.until(() => seen.of("response.created").length === 3, "the answer");
  const still = mouth.loudMs?.() - silenced;
  await seen.responses(3);
  const retrieved = after(seen, "conversation.item.retrieved", truncated);
  return finish(seen, mouth, { truncated, retrieved, stillLoudMs: still });
}

/** To another agent of the client's, which has a tool of its own. */
export async function handoff({ connect, session, microphone }) {
  const ran = [];
  const cancel = tool({
    name: "cancel_order",
    description: "Cancel an order that the caller does not want any more.",
    parameters: z.object({}),
    async execute() {
      ran.push("cancel_order");
      return "Your order is cancelled.";
    },
  });
  const human = new RealtimeAgent({
    name: "Human",
    handoffDescription: "Talk to a human being.",
    instructions: "You are a human being.",
    tools: [cancel],
  });
  const seen = await call(connect, watching, { agent: { handoffs: [human] }, session });
  const mouth = await microphone(seen.session);
  await mouth.say("human_please");
  await seen.responses(2);
  await mouth.quiet();
  await mouth.say("cancel_order");
  await seen.responses(4);
  return finish(seen, mouth, { ran, agent: seen.session.currentAgent.name });
}

/** What the agent says trips a guardrail of the client's, which speaks of it. */
export async function guardrail({ connect, session, microphone }) {
  const dry = {
    name: "dry weather only",
    async execute({ agentOutput }) {
      return { tripwireTriggered: agentOutput.includes("umbrellas"), outputInfo: { wet: true } };
    },
  };
  const settings = { ...session, outputGuardrails: [dry] };
  const seen = await call(connect, watching, { agent: { tools: [story()] }, session: settings });
  const mouth = await microphone(seen.session);
  seen.session.sendMessage("Tell me the story.");
  await seen.until(() => seen.told.includes("guardrail_tripped"), "the guardrail");
  const responses = await seen.responses(2);
  const { response } = await seen.frame("response.created", 2);
  await seen.until(() => deltas(seen, response.id).includes("blocked"), "words on it");
  return finish(seen, mouth, { responses, answer: deltas(seen, response.id) });
}

/** Items deleted, put first and put between. */
export async function history({ connect, session, microphone }) {
  const seen = await call(connect, watching, { session });
  const mouth = await microphone(seen.session);
  seen.session.sendMessage("Good morning.");
  await seen.responses(1);
  seen.session.sendMessage("Where is my order?");
  await seen.responses(2);
  const before = seen.session.history;
  const [hello, , question] = before;
  const first = message("item_first", "My name is Anna.");
  const between = message("item_between", "My order number is four seven one two.");
  seen.session.updateHistory([first, hello, between, ...before.slice(2)]);
  await seen.frame("conversation.item.deleted");
  await seen.until(() => seen.session.history.some((item) => item.itemId === "item_between"), "the item in between");
  return finish(seen, mouth, { before: before.map((item) => item.itemId), question: question.itemId });
}

/** A picture without a word, shown as the SDK does. */
export async function picture({ connect, session, microphone, url }) {
  const seen = await call(connect, watching, { session });
  const mouth = await microphone(seen.session);
  seen.session.addImage(url);
  const [response] = await seen.responses(1);
  return finish(seen, mouth, { response, shown: await seen.frame("conversation.item.done") });
}

/** Each stage dies in mid-turn: as it listens, as it thinks, as it speaks. `kill` ends what serves the call of a stage. */
export async function survivor({ connect, session, microphone, kill }) {
  const seen = await call(connect, watching, { session });
  const mouth = await microphone(seen.session);
  const saying = mouth.say("order_status");
  await seen.frame("input_audio_buffer.speech_started");
  await kill("stt");
  await saying;
  await seen.responses(1);
  await mouth.quiet();
  await mouth.say("order_status");
  await seen.frame("response.created", 1);
  await kill("agent");
  await seen.responses(2);
  await mouth.quiet();
  seen.session.sendMessage("Where is my order, four seven one two?");
  await seen.frame("response.output_audio_transcript.delta", deltasOf(seen).length);
  await kill("tts");
  const responses = await seen.responses(3);
  await mouth.quiet();
  return finish(seen, mouth, { responses });
}

function story() {
  return tool({
    name: "tell_story",
    description: "Tell me the story.",
    parameters: z.object({}),
    execute: async () => STORY,
  });
}

function message(itemId, text) {
  return { itemId, type: "message", role: "user", status: "completed", content: [{ type: "input_text", text }] };
}

function transcript(seen, index) {
  const spoken = seen.session.history.filter((item) => item.role === "user");
  return spoken[index]?.content[0]?.transcript;
}

/** What is said, in one response or in all. */
function deltas(seen, response) {
  const frames = deltasOf(seen).filter((frame) => !response || frame.response_id === response);
  return frames.map((frame) => frame.delta).join("");
}

function deltasOf(seen) {
  return seen.of("response.output_audio_transcript.delta");
}

function after(seen, type, earlier) {
  return seen.frames.slice(seen.frames.indexOf(earlier)).find((frame) => frame.type === type);
}

async function finish(seen, mouth, more) {
  await mouth.close();
  const facts = seen.facts({ ...more, microphone: mouth.facts?.() });
  seen.close();
  return facts;
}
