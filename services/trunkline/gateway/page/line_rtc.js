// A line over WebRTC: sound both ways as streams, and the events on a data channel. Once it is lost, its call may be
// taken up over a WebSocket.

import { offerCall } from "./api.js";

const CONNECT_LIMIT_MS = 15_000;
const PATIENCE_MS = 2_500; // with a connection that is disturbed: a call that nobody comes back to ends after 15 s

export class RtcLine {
  /**
   * on: {event(event), opened(), disturbed(is), moved(token), ended(reason)}; moved: it is over, and the call isn't.
   * reason: `there` (the other side ended it) or `lost`.
   */
  constructor({ sound, on }) {
    Object.assign(this, { sound, on, id: "", token: "", isOpen: false, isOver: false });
    this.stopper = new AbortController();
  }

  /** Until the data channel is open. Raises Refused, or Error where no connection comes about. */
  async open(secret, agent) {
    const peer = new RTCPeerConnection();
    this.peer = peer;
    peer.ontrack = ({ track, streams }) => this.sound.openStream(streams[0] ?? new MediaStream([track]));
    peer.onconnectionstatechange = () => this.watch();
    const track = this.sound.microphone?.getAudioTracks()[0];
    if (track) peer.addTrack(track, this.sound.microphone);
    else peer.addTransceiver("audio", { direction: "recvonly" });
    const opened = this.openChannel(peer.createDataChannel("oai-events"));
    opened.catch(() => {}); // it may fail while the offer is on its way
    await peer.setLocalDescription();
    const { sdp, call } = await offerCall(secret, agent, peer.localDescription.sdp, this.stopper.signal);
    this.id = call;
    await peer.setRemoteDescription({ type: "answer", sdp });
    await opened;
  }

  openChannel(channel) {
    this.channel = channel;
    channel.onmessage = ({ data }) => this.take(JSON.parse(data));
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
        if (!this.isOver) this.end("there");
      };
    });
  }

  take(event) {
    if (event.type === "session.created") this.token = event.trunkline?.resume_token ?? "";
    this.on.event(event);
  }

  /** A network that comes back within seconds is found again by ICE, and nothing else happens. */
  watch() {
    const state = this.peer.connectionState;
    clearTimeout(this.patience);
    if (!this.isOpen || this.isOver) return;
    this.on.disturbed(state === "disconnected");
    if (state === "failed") this.lose();
    if (state === "disconnected") this.patience = setTimeout(() => this.lose(), PATIENCE_MS);
  }

  lose() {
    if (!this.token) return this.end("lost");
    this.close();
    this.on.moved(this.token);
  }

  send(event) {
    if (this.channel?.readyState === "open") this.channel.send(JSON.stringify(event));
  }

  /** What was sent and isn't heard yet is the gateway's to drop. */
  hush() {
    this.send({ type: "output_audio_buffer.clear", event_id: "quiet_clear" });
  }

  end(reason) {
    const wasOpen = this.isOpen && !this.isOver;
    this.close();
    if (wasOpen) this.on.ended(reason);
  }

  close() {
    this.isOver = true;
    clearTimeout(this.patience);
    this.stopper.abort();
    this.channel?.close();
    this.peer?.close();
  }
}
