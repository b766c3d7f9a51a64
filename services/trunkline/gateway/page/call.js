// One call, whatever line carries it: what the user says and shows in turn with what the agent says.
// It ends once, whoever ends it, and leaves neither microphone nor connection open.

import { hangUp, mintKey } from "./api.js";
import { RtcLine } from "./line_rtc.js";
import { SocketLine } from "./line_socket.js";
import { Sound } from "./sound.js";

const LINES = { webrtc: RtcLine, websocket: SocketLine };
const QUIET = "quiet_"; // events of the page's own, also the lines', whose errors are nobody's business
const ASKED = "resp_"; // a gateway names the response so, where it can: asked for twice, it comes once
const BUSY = "conversation_already_has_active_response";

/** An id that nobody else makes. */
export function newId(kind) {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return kind + Array.from(bytes, (byte) => byte.toString(36).padStart(2, "0")).join("").slice(0, 20);
}

export class Call {
  /**
   * key: an API key, or one for a single call (`ek_…`). agent: its name, "" for the default. line: `webrtc` or
   * `websocket`. microphone: a MediaStream, or null to type only. player: an audio element. on: {event(event), opened(),
   * disturbed(is), moved(), resumed(gapMs), ended(reason)}; moved: from WebRTC
   * to a WebSocket. reason: `here` (hung up on the page), `there` or `lost`.
   */
  constructor({ key, agent, line, microphone, player, on }) {
    Object.assign(this, { key, agent, microphone, on, isOver: false });
    this.open = null; // id of the response that runs, or of the request for one that is to come
    this.asked = null; // id of that request
    this.wanted = []; // items that wait until no response runs
    this.wantsAnswer = false;
    this.stopper = new AbortController();
    this.sound = new Sound(microphone, player);
    this.secret = "";
    this.line = this.make(LINES[line]);
  }

  make(Line) {
    const on = { ...this.on, event: (event) => this.hear(event), moved: (token) => this.moveOver(token), ended: (reason) => this.end(reason) };
    return new Line({ sound: this.sound, on });
  }

  /** The same call over a WebSocket. */
  moveOver(token) {
    const { id } = this.line;
    this.open = null; // what goes on is told again
    this.line = this.make(SocketLine);
    this.on.moved();
    this.line.takeUp(id, this.secret, token).catch(() => this.end("lost"));
  }

  get id() {
    return this.line.id;
  }

  /** Whether the key reads records and keeps files too. */
  get opensMoreThanCalls() {
    return !this.key.startsWith("ek_");
  }

  /** Until events flow. Raises Refused, or Error where no connection comes about; then it is over. */
  async start() {
    try {
      this.secret = this.opensMoreThanCalls ? await mintKey(this.key, this.agent, this.stopper.signal) : this.key;
      await this.line.open(this.secret, this.agent);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  // events

  hear(event) {
    const cause = event.type === "error" ? event.error.event_id ?? "" : "";
    const isBusy = event.type === "error" && event.error.code === BUSY; // the caller spoke just then: once more, later
    if (isBusy) this.wantsAnswer = true;
    if (cause && cause === this.open) this.open = null;
    if (event.type === "response.created") {
      this.open = event.response.id;
      this.asked = null; // it may have the request's own id
    }
    if (event.type === "response.done") this.open = null;
    if (isBusy || cause.startsWith(QUIET)) return;
    this.on.event(event);
    this.answer(event);
    if (this.open === null && (this.wanted.length || this.wantsAnswer)) this.flush();
  }

  answer(event) {
    const item = event.item;
    if (event.type === "conversation.item.truncated") {
      this.line.send({ type: "conversation.item.retrieve", item_id: event.item_id, event_id: `${QUIET}retrieve` });
    } else if (event.type === "response.output_item.done" && item.type === "function_call" && item.status === "completed") {
      const output = JSON.stringify({ error: "not carried out: the page has no tools of its own" });
      this.wanted.push({ type: "function_call_output", call_id: item.call_id, output });
    }
  }

  /** Asks in writing, with pictures: what stands in `input_image`. What the agent is saying is cut off. Returns the item's id. */
  say(text, pictures = []) {
    const content = pictures.map((picture) => ({ type: "input_image", ...picture }));
    if (text) content.push({ type: "input_text", text });
    const id = newId("item_");
    this.wanted.push({ id, type: "message", role: "user", content });
    if (this.open === null) this.flush();
    else if (!this.isAsked) this.interrupt();
    return id;
  }

  get isAsked() {
    return this.open !== null && this.open === this.asked;
  }

  /** The agent falls silent. */
  interrupt() {
    if (this.open !== null && !this.isAsked) {
      this.line.send({ type: "response.cancel", response_id: this.open, event_id: `${QUIET}cancel` });
    }
    this.line.hush();
  }

  flush() {
    for (const item of this.wanted.splice(0)) {
      this.line.send({ type: "conversation.item.create", event_id: newId("event_"), item: { ...item, id: item.id ?? newId("item_") } });
    }
    this.wantsAnswer = false;
    this.open = this.asked = newId(ASKED);
    this.line.send({ type: "response.create", event_id: this.asked });
  }

  // the end

  set muted(is) {
    this.sound.muted = is;
  }

  hangUp() {
    this.end("here");
  }

  /** The page goes away, and its connection may not say so by itself. */
  abandon() {
    this.sayGoodbye();
    this.end("here");
  }

  sayGoodbye() {
    if (this.id && this.opensMoreThanCalls) hangUp(this.key, this.id).catch(() => {}); // it may be over already
  }

  end(reason) {
    const wasOpen = this.line.isOpen && !this.isOver;
    if (wasOpen && reason === "here" && this.line.isLost) this.sayGoodbye();
    this.close();
    if (wasOpen) this.on.ended(reason);
  }

  close() {
    this.isOver = true;
    this.stopper.abort();
    this.line.close();
    this.sound.close();
  }
}
