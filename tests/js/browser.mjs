/** Runs one scenario in a page. Its microphone is a line that the test speaks into, or the one of the machine. */
import { Microphone } from "./microphone.mjs";
import * as scenarios from "./scenarios.mjs";
import { isSpeech, until } from "./watch.mjs";

const QUIET_MS = 700; // longer than a pause between two sentences
const LISTEN_MS = 20;

/** order: {scenario, connect, session, microphone: "line" | "device"}. */
export async function run(order) {
  const clips = Object.fromEntries(await Promise.all(order.clips.map(async (name) => [name, await samples(name)])));
  const line = order.microphone === "line" ? new Line(clips) : undefined;
  if (line) navigator.mediaDevices.getUserMedia = async () => line.stream;
  const { kill } = globalThis; // the test's own
  return scenarios[order.scenario]({ ...order, kill, microphone: (session) => equip(session, line, clips) });
}

function equip(session, line, clips) {
  const { peerConnection } = session.transport.connectionState;
  const ear = peerConnection ? new TrackEar(peerConnection) : new FrameEar(session);
  const mouth = peerConnection ? (line ?? new Device()) : new Microphone(clips, (audio) => session.sendAudio(audio));
  return {
    say: (name) => mouth.say(name),
    heard: (seconds) => until(() => ear.loudMs >= seconds * 1000, `${seconds} s of speech`, () => `${ear.loudMs} ms`),
    quiet: () => until(() => ear.quietMs >= QUIET_MS, "silence"),
    loudMs: () => ear.loudMs,
    facts: () => ({ loudMs: ear.loudMs, loudest: ear.loudest, quietMs: ear.quietMs }),
    close: () => (mouth.close(), ear.close()),
  };
}

async function samples(name) {
  const answer = await fetch(`/speech/${name}.pcm`);
  return new Int16Array(await answer.arrayBuffer());
}

/** Measures a level every LISTEN_MS. loudMs: of speech so far. quietMs: since the last of it. */
class Ear {
  loudMs = 0;
  quietMs = 0;
  loudest = 0;

  constructor() {
    this.timer = setInterval(() => this.#note(this.level()), LISTEN_MS);
  }

  close() {
    clearInterval(this.timer);
  }

  #note(level) {
    this.loudest = Math.max(this.loudest, level);
    if (isSpeech(level)) [this.loudMs, this.quietMs] = [this.loudMs + LISTEN_MS, 0];
    else this.quietMs += LISTEN_MS;
  }
}

/** What is played of a WebRTC call. */
class TrackEar extends Ear {
  constructor(peerConnection) {
    super();
    this.context = new AudioContext();
    this.analyser = this.context.createAnalyser();
    const { track } = peerConnection.getReceivers()[0];
    this.context.createMediaStreamSource(new MediaStream([track])).connect(this.analyser);
    this.wave = new Float32Array(this.analyser.fftSize);
  }

  level() {
    if (!this.analyser) return 0;
    this.analyser.getFloatTimeDomainData(this.wave);
    return Math.max(...this.wave.map(Math.abs)) * 32_767;
  }

  close() {
    super.close();
    this.context.close();
  }
}

/** What a WebSocket client would be playing now. */
class FrameEar extends Ear {
  queue = [];

  constructor(session) {
    super();
    session.on("audio", (event) => this.#keep(new Int16Array(event.data)));
    session.on("audio_interrupted", () => (this.queue = []));
  }

  level() {
    return this.queue?.shift() ?? 0;
  }

  #keep(audio) {
    const piece = (24_000 * LISTEN_MS) / 1000;
    for (let at = 0; at < audio.length; at += piece) {
      this.queue.push(Math.max(...audio.subarray(at, at + piece).map(Math.abs)));
    }
  }
}

/** A microphone at the end of a wire: silent but for what is said into it. */
class Line {
  constructor(clips) {
    this.clips = clips;
    this.context = new AudioContext();
    this.end = this.context.createMediaStreamDestination();
    this.hum = new ConstantSourceNode(this.context, { offset: 0 });
    this.hum.connect(this.end);
    this.hum.start();
  }

  get stream() {
    return this.end.stream;
  }

  say(name) {
    const clip = this.clips[name];
    const buffer = this.context.createBuffer(1, clip.length, 24_000);
    buffer.copyToChannel(Float32Array.from(clip, (sample) => sample / 32_768), 0);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.end);
    source.start();
    return new Promise((resolve) => (source.onended = resolve));
  }

  close() {
    this.context.close();
  }
}

/** The machine's own microphone says what it says. */
class Device {
  async say() {}

  close() {}
}
