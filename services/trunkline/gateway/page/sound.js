// The sound of a call in this browser: microphone in, agent out, how loud both are, and a recording of both.
// It needs a click of the user's to begin, and leaves nothing open.

import { RATE_HZ } from "./tape.js";

const RECORDINGS = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const RECORDED_BITS_PER_S = 64_000; // both sides
const FLOOR_DB = -60; // what a meter shows as nothing

/** Why there is no microphone: `denied`, `missing`, `insecure` (the browser offers none on such an address) or `busy`. */
export class NoMicrophone extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** The caller's microphone as a MediaStream, without the agent's echo. Raises NoMicrophone. */
export async function openMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia) throw new NoMicrophone("insecure");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const reasons = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing" };
    throw new NoMicrophone(reasons[error.name] ?? "busy");
  }
}

export class Sound {
  /** microphone: a MediaStream or null. player: an audio element for a stream of the agent's. */
  constructor(microphone, player) {
    Object.assign(this, { microphone, element: player, played: 0, flushes: 0, over: false });
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.sides = this.context.createChannelMerger(2); // the caller left, the agent right
    this.meters = { caller: this.meter(0), agent: this.meter(1) };
    if (microphone) {
      this.source = this.context.createMediaStreamSource(microphone);
      this.source.connect(this.meters.caller);
    }
    this.record();
    this.context.resume().catch(() => {}); // it is closed already
  }

  meter(side) {
    const meter = this.context.createAnalyser();
    meter.fftSize = 1024;
    meter.connect(this.sides, 0, side);
    return meter;
  }

  /** A line that brings samples: heard(Int16Array) gets 20 ms of the caller's at RATE_HZ each time. */
  async openSamples(heard, onPlayed) {
    await this.context.audioWorklet.addModule("page/worklet.js");
    if (this.over) return;
    this.element.srcObject = null; // of a line before
    this.player = new AudioWorkletNode(this.context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.player.port.onmessage = ({ data }) => {
      if (data.flushes !== this.flushes) return; // said before it knew of the last flush
      this.played = data.played;
      onPlayed();
    };
    this.player.connect(this.meters.agent);
    this.player.connect(this.context.destination);
    if (!this.source) return;
    this.capture = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
    this.capture.port.onmessage = ({ data }) => heard(data);
    this.source.connect(this.capture);
    this.capture.connect(this.context.destination); // it is silent; what leads nowhere isn't run
  }

  /** A line that brings a stream. */
  openStream(stream) {
    this.element.srcObject = stream;
    this.element.play().catch(() => {}); // a page that was clicked may play; one that goes away needn't
    if (this.context.state !== "closed") this.context.createMediaStreamSource(stream).connect(this.meters.agent);
  }

  /** samples: Int16Array at RATE_HZ. */
  play(samples) {
    this.player?.port.postMessage(samples);
  }

  /** What waits is dropped. Returns the samples since the last flush that were heard. */
  flush() {
    const late = (this.context.outputLatency || 0) * RATE_HZ; // played, and still on the way to the ear
    const heard = Math.max(0, this.played - Math.round(late));
    this.player?.port.postMessage("flush");
    this.flushes++;
    this.played = 0;
    return heard;
  }

  set muted(is) {
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !is;
  }

  /** How loud a side is, from 0 for silence to 1. */
  level(side) {
    const samples = new Float32Array(this.meters[side].fftSize);
    this.meters[side].getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
    return Math.max(0, Math.min(1, 1 - (10 * Math.log10(power + 1e-12)) / FLOOR_DB));
  }

  // the recording

  record() {
    const type = globalThis.MediaRecorder && RECORDINGS.find((each) => MediaRecorder.isTypeSupported(each));
    if (!type) return;
    const target = this.context.createMediaStreamDestination();
    target.channelCount = 2;
    this.sides.connect(target);
    this.pieces = [];
    this.recorder = new MediaRecorder(target.stream, { mimeType: type, audioBitsPerSecond: RECORDED_BITS_PER_S });
    this.recorder.ondataavailable = ({ data }) => data.size && this.pieces.push(data);
    this.recorder.start(1_000);
  }

  /** Of the call so far: a Blob, null where this browser can't record. The caller is on the left, the agent on the right. */
  async recording() {
    if (!this.recorder) return null;
    if (this.recorder.state === "recording") {
      await new Promise((resolve) => {
        this.recorder.addEventListener("dataavailable", resolve, { once: true });
        this.recorder.requestData();
      });
    }
    return new Blob(this.pieces, { type: this.recorder.mimeType.split(";")[0] });
  }

  close() {
    this.over = true;
    if (this.recorder?.state === "recording") this.recorder.stop();
    this.element.srcObject = null;
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    this.capture?.port.close();
    if (this.context.state !== "closed") this.context.close().catch(() => {}); // it is being closed
  }
}
