/** Runs one scenario in Node over WebSocket. Its order comes as JSON on standard input, its facts leave as JSON. */
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { Microphone, RATE_HZ } from "./microphone.mjs";
import * as scenarios from "./scenarios.mjs";

const order = JSON.parse(await text(process.stdin));
const clips = Object.fromEntries(Object.entries(order.clips).map(([name, path]) => [name, samples(path)]));

function samples(path) {
  const bytes = readFileSync(path);
  return new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}

/** Plays nothing, but knows how long that would take. */
function microphone(session) {
  const made = new Microphone(clips, (audio) => session.sendAudio(audio));
  let bytes = 0;
  let from = 0;
  session.on("audio", (event) => {
    if (Date.now() > from + ms(bytes)) [from, bytes] = [Date.now(), 0];
    bytes += event.data.byteLength;
  });
  session.on("audio_interrupted", () => (bytes = 0));
  const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
  made.heard = (seconds) => wait(seconds * 1000);
  made.quiet = () => wait(Math.max(0, from + ms(bytes) - Date.now()));
  return made;
}

const ms = (bytes) => (bytes / 2 / RATE_HZ) * 1000;
const facts = await scenarios[order.scenario]({ ...order, microphone });
process.stdout.write(JSON.stringify(facts)); // and the program ends with its line
