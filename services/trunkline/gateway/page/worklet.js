// On the sound's own thread: the microphone as pieces for the wire, and the agent's pieces as sound without gaps.

import { Resampler, toFloat, toInt16 } from "./resample.js";

const RATE_HZ = 24_000;
const PIECE_SAMPLES = 480; // 20 ms
const CUSHION_S = 0.08; // before the first sound, and after a gap: what a network may be late
const PATIENCE_S = 0.15; // for a cushion; less than that may be all there is
const TOLD_S = 0.04; // between two words on what was played

/** Posts Int16Array of 20 ms at RATE_HZ. */
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE_HZ);
    this.piece = new Float32Array(PIECE_SAMPLES);
    this.filled = 0;
  }

  process([[samples]]) {
    if (!samples) return true;
    for (const sample of this.resampler.take(samples)) {
      this.piece[this.filled++] = sample;
      if (this.filled < PIECE_SAMPLES) continue;
      this.port.postMessage(toInt16(this.piece));
      this.filled = 0;
    }
    return true;
  }
}

/** Takes Int16Array at RATE_HZ, or "flush". Posts {played, flushes}: samples that were played since the last flush. */
class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE_HZ, sampleRate);
    this.pieces = [];
    this.waiting = this.offset = this.played = this.told = this.flushes = 0;
    this.flowing = false;
    this.sinceS = null; // when the first of what waits came
    this.port.onmessage = ({ data }) => (data === "flush" ? this.flush() : this.take(data));
  }

  take(samples) {
    const made = this.resampler.take(toFloat(samples));
    this.pieces.push(made);
    this.waiting += made.length;
    this.sinceS ??= currentTime;
  }

  flush() {
    this.pieces = [];
    this.waiting = this.offset = this.played = 0;
    this.flushes++;
    this.flowing = false;
    this.sinceS = null;
  }

  tell() {
    this.told = currentTime;
    this.port.postMessage({ played: Math.round((this.played * RATE_HZ) / sampleRate), flushes: this.flushes });
  }

  process(inputs, [[out]]) {
    if (!this.flowing && this.waiting) {
      this.flowing = this.waiting >= CUSHION_S * sampleRate || currentTime - this.sinceS >= PATIENCE_S;
    }
    if (this.flowing) this.fill(out);
    if (currentTime - this.told >= TOLD_S) this.tell();
    return true;
  }

  fill(out) {
    let at = 0;
    while (at < out.length && this.pieces.length) {
      const part = this.pieces[0].subarray(this.offset, this.offset + out.length - at);
      out.set(part, at);
      at += part.length;
      this.offset += part.length;
      if (this.offset < this.pieces[0].length) continue;
      this.pieces.shift();
      this.offset = 0;
    }
    this.waiting -= at;
    this.played += at;
    if (at === out.length) return;
    this.flowing = false;
    this.sinceS = null;
  }
}

registerProcessor("capture", Capture);
registerProcessor("player", Player);
