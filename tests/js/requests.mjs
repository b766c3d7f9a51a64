/** The request APIs with the `openai` package. Its order comes as JSON on standard input, its facts leave as JSON. */
import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";
import OpenAI from "openai";

const { baseURL, apiKey, question, picture, say } = JSON.parse(await text(process.stdin));
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const facts = {
  speech: await speech(),
  file: await transcribed(),
  streamed: await transcribedAsStream(),
  verbose: await transcribedWithTimes(),
  response: await answered(),
  models: (await client.models.list()).data.map((model) => model.id),
  files: await kept(),
  errors: await refused(),
};
process.stdout.write(JSON.stringify(facts));

/** pieces: sizes as they came; when: milliseconds to the first and to the last. */
async function speech() {
  const began = performance.now();
  const asked = { model: "gpt-4o-mini-tts", voice: "ash", input: say, response_format: "pcm", instructions: "Warmly." };
  const response = await client.audio.speech.create(asked);
  const pieces = [];
  const when = [];
  for await (const piece of response.body) {
    pieces.push(Buffer.from(piece));
    when.push(performance.now() - began);
  }
  return { pcm: Buffer.concat(pieces).toString("base64"), firstMs: when[0], lastMs: when.at(-1) };
}

function asked(more) {
  return { model: "gpt-4o-mini-transcribe", file: createReadStream(question), ...more };
}

async function transcribed() {
  return (await client.audio.transcriptions.create(asked())).text;
}

async function transcribedAsStream() {
  const events = [];
  for await (const event of await client.audio.transcriptions.create(asked({ stream: true }))) events.push(event);
  return events;
}

async function transcribedWithTimes() {
  return client.audio.transcriptions.create(asked({ model: "whisper-1", response_format: "verbose_json" }));
}

async function answered() {
  const stream = client.responses.stream({ model: "gpt-5.5", input: "Say something.", store: false });
  let said = "";
  stream.on("response.output_text.delta", (event) => (said += event.delta));
  const whole = await stream.finalResponse();
  return { said, text: whole.output_text, status: whole.status, phase: whole.output[0].phase };
}

async function kept() {
  const made = await client.files.create({ file: createReadStream(picture), purpose: "vision" });
  const found = await client.files.retrieve(made.id);
  const gone = await client.files.delete(made.id);
  return { purpose: made.purpose, bytes: found.bytes, deleted: gone.deleted };
}

async function refused() {
  const wrong = {
    model: () => client.audio.speech.create({ model: "no-such", voice: "ash", input: "Hi." }),
    format: () => client.audio.speech.create({ model: "tts-1", voice: "ash", input: "Hi.", response_format: "aac" }),
    file: () => client.audio.transcriptions.create({ model: "whisper-1", file: createReadStream(picture) }),
    key: () => new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 }).models.list(),
  };
  const told = {};
  for (const [name, ask] of Object.entries(wrong)) {
    told[name] = await ask().then(
      () => null,
      (error) => ({ kind: error.constructor.name, status: error.status, code: error.code, param: error.param }),
    );
  }
  return told;
}
