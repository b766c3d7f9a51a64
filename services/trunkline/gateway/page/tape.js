// The caller's audio that may have to be said again: what no gateway has settled, half a minute of it at most. Pure.
// Positions are samples since the call began.

export const RATE_HZ = 24_000; // of the protocol's audio, both ways
const PER_MS = RATE_HZ / 1000;
const KEPT_SAMPLES = 30 * RATE_HZ;
const BURST_SAMPLES = 200 * PER_MS; // in one message, when there is much to send

export class Tape {
  constructor() {
    this.end = 0;
    this.settled = 0;
    this.pieces = []; // {at, samples}
  }

  /** samples: Int16Array, the caller's next. */
  append(samples) {
    if (!samples.length) return;
    this.pieces.push({ at: this.end, samples });
    this.end += samples.length;
    this.trim();
  }

  /** No gateway needs the audio before. */
  settle(audioEndMs) {
    this.settled = Math.max(this.settled, Math.min(audioEndMs * PER_MS, this.end));
    this.trim();
  }

  /** Where what is kept begins. */
  get first() {
    return this.pieces[0]?.at ?? this.end;
  }

  /** From there to the end, as Int16Arrays of 200 ms at most. */
  from(audioFromMs) {
    const since = Math.max(audioFromMs * PER_MS, this.first);
    const bursts = [];
    for (const { at, samples } of this.pieces) {
      for (let begin = Math.max(0, since - at); begin < samples.length; begin += BURST_SAMPLES) {
        bursts.push(samples.subarray(begin, begin + BURST_SAMPLES));
      }
    }
    return bursts;
  }

  /** As a gateway is told of it. */
  get extent() {
    return { settled_ms: Math.floor(this.settled / PER_MS), kept_from_ms: Math.ceil(this.first / PER_MS), end_ms: Math.floor(this.end / PER_MS) };
  }

  trim() {
    const oldest = Math.max(this.settled, this.end - KEPT_SAMPLES);
    while (this.pieces.length && this.pieces[0].at + this.pieces[0].samples.length <= oldest) this.pieces.shift();
  }
}
