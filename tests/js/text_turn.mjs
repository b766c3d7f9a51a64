/** One turn in text with the `openai` package, at the vendor's own address. Its order comes as JSON on standard input. */
import { text } from "node:stream/consumers";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const { client, apiKey, ask } = JSON.parse(await text(process.stdin));
const kinds = { OpenAIRealtimeWS, OpenAIRealtimeWebSocket };
const realtime = new kinds[client]({ model: "gpt-realtime-2" }, new OpenAI({ apiKey }));
const frames = [];
const errors = [];
let answer = "";

realtime.on("event", (event) => frames.push(event));
realtime.on("error", (error) => errors.push(String(error)));
realtime.on("session.created", () => {
  realtime.send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } });
});
realtime.on("session.updated", () => {
  const content = [{ type: "input_text", text: ask }];
  realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  realtime.send({ type: "response.create" });
});
realtime.on("response.output_text.delta", (event) => (answer += event.delta));
const done = await new Promise((resolve, reject) => {
  realtime.on("response.done", resolve);
  realtime.socket.addEventListener("close", () => reject(new Error(`closed: ${errors.join(", ")}`)));
});
realtime.close();
process.stdout.write(JSON.stringify({ frames, errors, answer, response: done.response }));
