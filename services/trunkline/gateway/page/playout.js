// How much of each item was heard, of audio that plays in the order in which it came. Pure: samples at RATE_HZ.

import { RATE_HZ } from "./tape.js";

export class Playout {
  constructor() {
    this.spans = []; // {item, response, end}: what isn't heard to its end, end counted from the last cut
    this.end = 0;
    this.came = new Map(); // item -> samples of it that came
    this.cutOff = new Set(); // responses of which nothing is to be heard any more
  }

  /** Whether it is to be played. */
  add(item, response, samples) {
    if (this.cutOff.has(response)) return false;
    this.end += samples;
    this.came.set(item, (this.came.get(item) ?? 0) + samples);
    const last = this.spans.at(-1);
    if (last?.item === item) last.end = this.end;
    else this.spans.push({ item, response, end: this.end });
    return true;
  }

  /** The response that sounds when `played` samples have been, "" for silence. */
  advance(played) {
    while (this.spans.length && this.spans[0].end <= played) this.spans.shift();
    return this.spans[0]?.response ?? "";
  }

  /** Nothing that waits is heard any more: per item that is cut, {item, heardMs}. The player counts anew from there. */
  cut(played) {
    this.advance(played);
    let begin = Math.min(played, this.end);
    const cuts = this.spans.map(({ item, response, end }) => {
      const unheard = end - begin;
      begin = end;
      this.cutOff.add(response);
      return { item, heardMs: toMs(this.came.get(item) - unheard) };
    });
    this.spans = [];
    this.end = 0;
    return cuts;
  }

  /** How much of an item ever came. */
  cameMs(item) {
    return toMs(this.came.get(item) ?? 0);
  }
}

const toMs = (samples) => Math.floor((samples / RATE_HZ) * 1000);
