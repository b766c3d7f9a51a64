// One call over WebRTC: sound both ways, and the events of the Realtime protocol on the data channel.
// It ends once, whoever ends it, and leaves neither microphone nor connection open.

import { hangUp, mintKey, offerCall } from "./api.js";

const CONNECT_LIMIT_MS = 15_000;
const QUIET = "quiet_"; // events of the page's own, whose errors are nobody's business
const ASKED = "asked";
const BUSY = "conversation_already_has_active_response";

/** Why there is no microphone: `denied`, `missing`, `insecure` (the browser offers none on such an address) or `busy`. */
export class NoMicrophone extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** The caller's microphone as a MediaStream. Raises NoMicrophone. */
export async function openMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia) throw new NoMicrophone("insecure");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const reasons = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing" };
    throw new NoMicrophone(reasons[error.name] ?? "busy");
  }
}

export class Call {
  /**
   * key: an API key, or one for a single call (`ek_…`). microphone: a MediaStream, or null to type only.
   * player: an audio element. on: {event(event), opened(), disturbed(is), ended(reason)}; reason: `here` (hung up on
   * the page), `there` (the agent or the gateway ended it) or `lost`.
   */
  constructor({ key, microphone, player, on }) {
    Object.assign(this, { key, microphone, player, on, id: "", isOpen: false, isOver: false });
    this.open = null; // id of the response that runs, ASKED for one that is to come
    this.wanted = []; // items that wait until no response runs
    this.wantsAnswer = false;
    this.stopper = new AbortController();
  }

  /** Whether the key reads records too. */
  get opensMoreThanCalls() {
    return !this.key.startsWith("ek_");
  }

  /** Until the data channel is open. Raises Refused, or Error where no connection comes about; then it is over. */
  async start() {
    try {
      const secret = this.opensMoreThanCalls ? await mintKey(this.key, this.stopper.signal) : this.key;
      await this.connect(secret);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async connect(secret) {
    const peer = new RTCPeerConnection();
    this.peer = peer;
    peer.ontrack = ({ track, streams }) => this.play(streams[0] ?? new MediaStream([track]));
    peer.onconnectionstatechange = () => this.watch();
    const track = this.microphone?.getAudioTracks()[0];
    if (track) peer.addTrack(track, this.microphone);
    else peer.addTransceiver("audio", { direction: "recvonly" });
    const opened = this.openChannel(peer.createDataChannel("oai-events"));
    opened.catch(() => {}); // it may fail while the offer is on its way
    await peer.setLocalDescription();
    const { sdp, call } = await offerCall(secret, peer.localDescription.sdp, this.stopper.signal);
    this.id = call;
    await peer.setRemoteDescription({ type: "answer", sdp });
    await opened;
  }

  openChannel(channel) {
    this.channel = channel;
    channel.onmessage = ({ data }) => this.hear(JSON.parse(data));
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("no-connection")), CONNECT_LIMIT_MS);
      channel.onopen = () => {
        clearTimeout(late);
        this.isOpen = true;
        this.on.opened();
        resolve();
      };
      channel.onclose = () => {
        clearTimeout(late);
        reject(new Error("no-connection"));
        this.end("there");
      };
    });
  }

  play(stream) {
    this.player.srcObject = stream;
    this.player.play().catch(() => {}); // a page that was clicked may play; one that goes away needn't
  }

  watch() {
    const state = this.peer.connectionState;
    if (state === "failed") this.end("lost");
    else if (this.isOpen && !this.isOver) this.on.disturbed(state === "disconnected");
  }

  // events

  hear(event) {
    const isBusy = event.type === "error" && event.error.code === BUSY; // the caller spoke just then: once more, later
    if (isBusy) this.wantsAnswer = true;
    if (event.type === "error" && event.error.event_id === ASKED && this.open === ASKED) this.open = null;
    if (event.type === "response.created") this.open = event.response.id;
    if (event.type === "response.done") this.open = null;
    if (event.type === "error" && (isBusy || event.error.event_id?.startsWith(QUIET))) return;
    this.on.event(event);
    this.answer(event);
    if (this.open === null && (this.wanted.length || this.wantsAnswer)) this.flush();
  }

  answer(event) {
    const item = event.item;
    if (event.type === "conversation.item.truncated") {
      this.send({ type: "conversation.item.retrieve", item_id: event.item_id, event_id: `${QUIET}retrieve` });
    } else if (event.type === "response.output_item.done" && item.type === "function_call" && item.status === "completed") {
      const output = JSON.stringify({ error: "not carried out: the page has no tools of its own" });
      this.wanted.push({ type: "function_call_output", call_id: item.call_id, output });
    }
  }

  /** Asks in writing. What the agent is saying is cut off. */
  say(text) {
    const content = [{ type: "input_text", text }];
    this.wanted.push({ type: "message", role: "user", content });
    if (this.open === null) this.flush();
    else if (this.open !== ASKED) this.interrupt();
  }

  interrupt() {
    this.send({ type: "response.cancel", response_id: this.open, event_id: `${QUIET}cancel` });
    this.send({ type: "output_audio_buffer.clear", event_id: `${QUIET}clear` });
  }

  flush() {
    for (const item of this.wanted.splice(0)) this.send({ type: "conversation.item.create", item });
    this.send({ type: "response.create", event_id: ASKED });
    this.wantsAnswer = false;
    this.open = ASKED;
  }

  send(event) {
    if (this.channel?.readyState === "open") this.channel.send(JSON.stringify(event));
  }

  // the end

  set muted(is) {
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !is;
  }

  hangUp() {
    this.end("here");
  }

  /** The page goes away, and its connection may not say so by itself. */
  abandon() {
    if (this.id && this.opensMoreThanCalls) hangUp(this.key, this.id).catch(() => {});
    this.end("here");
  }

  end(reason) {
    const wasOpen = this.isOpen && !this.isOver;
    this.close();
    if (wasOpen) this.on.ended(reason);
  }

  close() {
    this.isOver = true;
    this.stopper.abort();
    this.channel?.close();
    this.peer?.close();
    this.player.srcObject = null;
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
  }
}
