/**
 * The SDK's own parser over the events on standard input, one JSON text per line of a JSON list: what it drops, takes
 * for an event that it doesn't know, or fails on later.
 */
import { text } from "node:stream/consumers";
import { OpenAIRealtimeBase } from "./node_modules/@openai/agents-realtime/dist/openaiRealtimeBase.mjs";
import { parseRealtimeEvent, realtimeServerEventSchema } from "./node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs";

/** What the SDK does with an event once it is parsed, without a line. */
class Client extends OpenAIRealtimeBase {
  sendEvent() {}
}

function verdict(data) {
  const { data: parsed, isGeneric } = parseRealtimeEvent({ data });
  if (!parsed) return "dropped";
  if (isGeneric) return `unknown: ${realtimeServerEventSchema.safeParse(JSON.parse(data)).error}`;
  const told = [];
  const client = new Client();
  client.on("*", (event) => told.push(event.type));
  client.on("error", () => {});
  try {
    client._onMessage({ data });
  } catch (error) {
    return `failed: ${error}`;
  }
  return told.length === 1 ? "" : "told of nothing";
}

const events = JSON.parse(await text(process.stdin));
process.stdout.write(JSON.stringify(events.map(verdict)));
