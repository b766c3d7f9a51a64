/** What a session tells, gets and sends, and waiting for any of it. It changes nothing of the session. */

const LIMIT_MS = 45_000;
const POLL_MS = 20;
const TOLD = ["agent_start", "agent_end", "agent_handoff", "audio_interrupted", "audio_start", "guardrail_tripped"];
const LOUD = 1_000; // of 32767: speech has more, silence never

/** Resolves to what `check` gives once that is true; rejects with `what` and what `told` gives, at once if `lost`. */
export async function until(check, what, told = () => "", lost = () => false) {
  const from = Date.now();
  for (;;) {
    const found = check();
    if (found) return found;
    if (lost() || Date.now() - from > LIMIT_MS) throw new Error(`waited for ${what}; ${told()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export class Watch {
  constructor(session) {
    this.session = session;
    this.frames = []; // as they came, audio left out
    this.sent = []; // types of the client's events, but for audio
    this.told = []; // names of the session's own events
    this.errors = [];
    this.audioBytes = 0;
    this.loudest = 0;
    session.on("error", (event) => this.errors.push(describe(event)));
    session.on("audio", (event) => this.#hear(event.data));
    for (const name of TOLD) session.on(name, () => this.told.push(name));
    session.transport.on("connection_change", (status) => {
      if (status === "connecting") this.#listen();
    });
  }

  /** Those of one type, in order. */
  of(type) {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The next frame of a type beyond the first `past` of them. */
  frame(type, past = 0) {
    return this.until(() => this.of(type)[past], `${type} number ${past + 1}`);
  }

  until(check, what) {
    return until(check, what, () => this.last(), () => this.errors.length);
  }

  /** Every response that began is over, and there have been so many. */
  async responses(count) {
    await this.until(() => this.of("response.done").length >= count, `response number ${count}`);
    return this.of("response.done").map((frame) => frame.response);
  }

  last() {
    const types = this.frames.slice(-12).map((frame) => frame.type);
    return `last came ${types.join(", ")}; errors: ${this.errors.join(" | ") || "none"}`;
  }

  facts(more = {}) {
    const { frames, sent, told, errors, audioBytes, loudest } = this;
    return { frames, sent, told, errors, audioBytes, loudest, history: this.session.history, ...more };
  }

  close() {
    this.session.close();
  }

  #listen() {
    const { websocket, dataChannel } = this.session.transport.connectionState;
    const line = websocket ?? dataChannel;
    line.addEventListener("message", (message) => this.frames.push(shortened(JSON.parse(message.data))));
    const send = line.send.bind(line);
    line.send = (text) => {
      const { type } = JSON.parse(text);
      if (type !== "input_audio_buffer.append") this.sent.push(type);
      send(text);
    };
  }

  #hear(data) {
    this.audioBytes += data.byteLength;
    for (const sample of new Int16Array(data)) this.loudest = Math.max(this.loudest, Math.abs(sample));
  }
}

export const isSpeech = (loudest) => loudest > LOUD;

function shortened(frame) {
  return frame.type === "response.output_audio.delta" ? { ...frame, delta: frame.delta.slice(0, 8) } : frame;
}

function describe(event) {
  const error = event?.error ?? event;
  const cause = error?.error?.error ?? error?.error ?? error;
  return cause instanceof Error ? String(cause.stack) : JSON.stringify(cause);
}
