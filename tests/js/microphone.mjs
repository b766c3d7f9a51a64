/** A microphone for clients that send audio themselves: in real time a clip when one is said, else silence. */

export const RATE_HZ = 24_000;
const CHUNK_MS = 40;
const CHUNK = (RATE_HZ * CHUNK_MS) / 1000;

/** clips: name -> Int16Array at RATE_HZ. send: takes an ArrayBuffer. */
export class Microphone {
  #queue = [];
  #sent = 0;

  constructor(clips, send) {
    this.clips = clips;
    this.send = send;
    const from = Date.now();
    this.timer = setInterval(() => {
      while (this.#sent * CHUNK_MS < Date.now() - from) this.#tick();
    }, CHUNK_MS);
  }

  /** Resolves when the clip's last sample has been sent. */
  say(name) {
    const samples = this.clips[name];
    return new Promise((resolve) => this.#queue.push({ samples, at: 0, resolve }));
  }

  close() {
    clearInterval(this.timer);
  }

  #tick() {
    const chunk = new Int16Array(CHUNK);
    const saying = this.#queue[0];
    if (saying) {
      chunk.set(saying.samples.subarray(saying.at, saying.at + CHUNK));
      saying.at += CHUNK;
      if (saying.at >= saying.samples.length) this.#queue.shift().resolve();
    }
    this.#sent += 1;
    this.send(chunk.buffer);
  }
}
