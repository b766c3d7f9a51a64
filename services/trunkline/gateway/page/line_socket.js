// A line over WebSocket: sound both ways as samples in the events, and a lost socket is found again at any gateway.
// It keeps what the caller said and what it was told, so that the call goes on where it was.

import { Playout } from "./playout.js";
import { Story } from "./story.js";
import { Tape } from "./tape.js";

const CONNECT_LIMIT_MS = 10_000;
const TRY_LIMIT_MS = 3_000; // for a gateway to take the call up; twice as long with each that doesn't
const AGAIN_MS = 200; // between two tries
const WINDOW_MS = 15_000; // a call that nobody comes back to for so long is over at the gateways too
const STUCK_BYTES = 256_000; // 4 s of audio that nobody takes: the network is gone, whatever the socket says
const DRY_MS = 300; // silence between two pieces that isn't the end of what sounds
const HUNG_UP = 1000, MOVED = 4000; // closing codes; MOVED isn't the end of the call
const GOES_ON = [1001, 1006, 1012, MOVED]; // a gateway's closing codes, and none, that don't end the call
const FINAL = ["call_over", "call_not_found"];
const RESUME = "trunkline.resume.v1";
const QUIET = "quiet_"; // as of call.js

export class SocketLine {
  /** on: as of RtcLine, and resumed(gapMs): the call goes on at another socket. */
  constructor({ sound, on }) {
    Object.assign(this, { sound, on, id: "", token: "", secret: "", socket: null, isOpen: false, isOver: false });
    this.isStock = false; // it came to the call from another line, and can't tell what was heard there
    this.tape = new Tape();
    this.story = new Story();
    this.playout = new Playout();
    this.unsent = []; // events that wait for a socket
    this.truncated = new Set(); // items
    this.sounding = "";
    this.attempts = this.lostMs = 0; // lostMs: what was said when a stock line was lost
    this.offline = () => this.socket && this.lose();
    addEventListener("offline", this.offline);
  }

  /** Until the session is there. Raises Error where no connection comes about: a browser doesn't tell why. */
  async open(secret, agent) {
    this.secret = secret;
    await this.sound.openSamples((samples) => this.hear(samples), () => this.played());
    if (this.isOver) return;
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("no-connection")), CONNECT_LIMIT_MS);
      this.begun = () => (clearTimeout(late), resolve());
      this.refused = () => (clearTimeout(late), reject(new Error("no-connection")));
      this.use(this.dial(agent ? { model: agent } : {}));
    });
    this.on.opened();
  }

  /** A call that another line has lost. What is said from now on is heard. */
  async takeUp(id, secret, token) {
    Object.assign(this, { id, secret, token, isOpen: true, isStock: true });
    await this.sound.openSamples((samples) => this.hear(samples), () => this.played());
    this.comeBack();
  }

  dial(query) {
    const address = new URL(`v1/realtime?${new URLSearchParams(query)}`, document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    const ours = this.isStock ? [] : [RESUME];
    return new WebSocket(address, [...ours, "realtime", `openai-insecure-api-key.${this.secret}`]);
  }

  /** From now on this socket is the call's. */
  use(socket) {
    this.socket = socket;
    socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    socket.onclose = ({ code }) => this.closed(code);
  }

  // what comes

  take(event) {
    if (event.type === "session.created") this.greeted(event);
    if (event.type === "trunkline.move") return this.lose();
    if (event.type === "trunkline.settled") {
      this.tape.settle(event.audio_end_ms);
      this.story.settle(event.audio_end_ms);
      return;
    }
    const news = this.story.news(event);
    if (news === null) return;
    if (news.type === "response.output_audio.delta") return this.sounds(news);
    if (news.type === "input_audio_buffer.speech_started") this.hush();
    if (news.type === "response.output_item.done" && news.item.status === "incomplete") this.confirmCut(news.item.id);
    this.on.event(news);
  }

  greeted(event) {
    this.id = event.session.id.replace(/^sess_/, "");
    this.token = event.trunkline?.resume_token ?? this.token;
    this.isOpen = true;
    this.begun?.();
  }

  sounds(event) {
    const bytes = Uint8Array.from(atob(event.delta), (character) => character.charCodeAt(0));
    const samples = new Int16Array(bytes.buffer).subarray(event.skip ?? 0);
    if (this.playout.add(event.item_id, event.response_id, samples.length)) this.sound.play(samples);
  }

  /** The player's word on how far it is. */
  played() {
    const response = this.playout.advance(this.sound.played);
    if (response && response !== this.sounding && this.sound.played > 0) {
      this.sounding = response;
      this.on.event({ type: "output_audio_buffer.started", response_id: response });
    }
    if (response || !this.sounding) this.dryMs = performance.now();
    else if (performance.now() - this.dryMs > DRY_MS) this.silent("stopped");
  }

  silent(how) {
    if (this.sounding) this.on.event({ type: `output_audio_buffer.${how}`, response_id: this.sounding });
    this.sounding = "";
  }

  /** What isn't heard yet never is, and the gateway is told how far it was heard. */
  hush() {
    const cuts = this.playout.cut(this.sound.flush());
    this.silent("cleared");
    for (const { item, heardMs } of cuts) this.truncate(item, heardMs);
  }

  /** One of which all that came was heard, for the gateway had held the rest back. */
  confirmCut(item) {
    if (!this.truncated.has(item)) this.truncate(item, this.playout.cameMs(item));
  }

  truncate(item, heardMs) {
    this.truncated.add(item);
    this.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: heardMs, event_id: `${QUIET}truncate` });
  }

  // what goes out

  /** samples: the caller's next. */
  hear(samples) {
    this.tape.append(samples);
    if (!this.isLive()) return;
    if (this.socket.bufferedAmount > STUCK_BYTES) this.lose();
    else this.append(samples);
  }

  append(samples) {
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    this.socket.send(JSON.stringify({ type: "input_audio_buffer.append", audio: btoa(String.fromCharCode(...bytes)) }));
  }

  send(event) {
    if (!this.isLive()) return void this.unsent.push(event);
    this.story.said(event);
    this.socket.send(JSON.stringify(event));
  }

  /** The call goes on, and no gateway knows of this page. */
  get isLost() {
    return this.isOpen && this.socket === null;
  }

  isLive() {
    return this.isOpen && this.socket?.readyState === WebSocket.OPEN;
  }

  // a socket that is lost

  closed(code) {
    if (!this.isOpen) return this.refused?.();
    if (this.token && GOES_ON.includes(code)) this.lose();
    else this.end(code === HUNG_UP ? "there" : "lost");
  }

  /** Leaves the socket, which may not know yet that it is lost, and looks for another. */
  lose() {
    if (this.isOver || !this.socket) return;
    const old = this.socket;
    this.lostMs = this.tape.extent.end_ms;
    old.onmessage = old.onclose = null;
    this.socket = null;
    old.close(MOVED);
    if (this.token) this.comeBack();
    else this.end("lost");
  }

  async comeBack() {
    const beganMs = performance.now();
    this.on.disturbed(true);
    for (let limitMs = TRY_LIMIT_MS; !this.isOver && performance.now() - beganMs < WINDOW_MS; ) {
      const answer = await this.askAgain(limitMs);
      if (answer === "resumed") return void (this.isOver || this.on.resumed(performance.now() - beganMs));
      if (answer === "over") return this.end("there");
      if (answer === "late") limitMs *= 2;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    this.end("lost");
  }

  /** One gateway: `resumed`; `over`, if the call is; `late`, if it says nothing; or `refused`. */
  askAgain(limitMs) {
    const socket = this.dial({ resume_token: this.token });
    return new Promise((resolve) => {
      const leave = (why) => {
        clearTimeout(late);
        socket.onmessage = socket.onclose = null;
        socket.close(MOVED);
        resolve(why);
      };
      const late = setTimeout(() => leave("late"), limitMs);
      socket.onopen = () => this.isOver || this.isStock || socket.send(JSON.stringify(this.story.resume(this.tape.extent, this.attempts++)));
      socket.onclose = () => leave("refused");
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (this.isOver) return leave("refused");
        if (event.type === "error") return leave(FINAL.includes(event.error.code) ? "over" : "refused");
        if (event.type !== (this.isStock ? "session.created" : "trunkline.resumed")) return;
        clearTimeout(late);
        this.goOn(socket, this.isStock ? this.lostMs : event.audio_from_ms);
        resolve("resumed");
      };
    });
  }

  goOn(socket, audioFromMs) {
    this.attempts = 0;
    this.use(socket);
    for (const samples of this.tape.from(audioFromMs)) this.append(samples);
    for (const event of this.unsent.splice(0)) this.send(event);
  }

  // the end

  end(reason) {
    const wasOpen = this.isOpen && !this.isOver;
    this.close();
    if (wasOpen) this.on.ended(reason);
  }

  close() {
    this.isOver = true;
    removeEventListener("offline", this.offline);
    if (!this.socket) return;
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(HUNG_UP);
  }
}
