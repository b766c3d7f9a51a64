// Audio at one rate as audio at another, piece by piece without a seam: a windowed sinc. Pure.

const ZEROS = 12; // crossings of the sinc on either side
const STEPS = 128; // of the table between two crossings

export class Resampler {
  constructor(fromHz, toHz) {
    this.step = fromHz / toHz;
    this.stretch = Math.max(1, this.step); // a lower rate lets less pass
    this.reach = Math.ceil(ZEROS * this.stretch);
    this.table = table();
    this.past = new Float32Array(2 * this.reach); // what later samples still need
    this.at = this.past.length; // of the next sample, in past and what follows it
  }

  /** samples: Float32Array, however long. The last 12 of the lower rate wait for what follows. */
  take(samples) {
    if (this.step === 1) return samples;
    const given = new Float32Array(this.past.length + samples.length);
    given.set(this.past);
    given.set(samples, this.past.length);
    const count = Math.max(0, Math.ceil((given.length - this.reach - this.at) / this.step));
    const made = new Float32Array(count);
    for (let index = 0; index < count; index++) made[index] = this.around(given, this.at + index * this.step);
    this.at += count * this.step;
    const kept = Math.max(0, Math.floor(this.at) - this.reach);
    this.past = given.slice(kept);
    this.at -= kept;
    return made;
  }

  around(given, at) {
    let sum = 0;
    const last = Math.min(given.length - 1, Math.floor(at + this.reach));
    for (let index = Math.max(0, Math.ceil(at - this.reach)); index <= last; index++) {
      sum += given[index] * this.table[Math.round((Math.abs(at - index) / this.stretch) * STEPS)];
    }
    return sum / this.stretch;
  }
}

/** Half of a sinc under a Hann window. */
function table() {
  const made = new Float32Array((ZEROS + 1) * STEPS + 1);
  made[0] = 1;
  for (let index = 1; index <= ZEROS * STEPS; index++) {
    const x = (index / STEPS) * Math.PI;
    made[index] = (Math.sin(x) / x) * (0.5 + 0.5 * Math.cos(x / ZEROS));
  }
  return made;
}

/** Float32Array in -1…1 as Int16Array. */
export function toInt16(samples) {
  return Int16Array.from(samples, (value) => Math.max(-1, Math.min(1, value)) * 32767);
}

export function toFloat(samples) {
  return Float32Array.from(samples, (value) => value / 32768);
}
