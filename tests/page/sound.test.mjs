// Arithmetic of sound: another rate without a seam, and how much of what plays was heard.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Playout } from "../../services/trunkline/gateway/page/playout.js";
import { Resampler, toFloat, toInt16 } from "../../services/trunkline/gateway/page/resample.js";

const S = 24_000;
const tone = (hz, rateHz, seconds) => Float32Array.from({ length: rateHz * seconds }, (_, at) => 0.5 * Math.sin((2 * Math.PI * hz * at) / rateHz));

/** In pieces as the browser gives them. */
function resampled(samples, fromHz, toHz, pieceSamples = 128) {
  const resampler = new Resampler(fromHz, toHz);
  const made = [];
  for (let at = 0; at < samples.length; at += pieceSamples) made.push(...resampler.take(samples.slice(at, at + pieceSamples)));
  return Float32Array.from(made);
}

/** Largest difference in the middle, where the window is full. */
function difference(one, other) {
  const count = Math.min(one.length, other.length) - 200;
  return Math.max(...Array.from({ length: count - 200 }, (_, at) => Math.abs(one[at + 200] - other[at + 200])));
}

for (const [fromHz, toHz] of [[48_000, 24_000], [44_100, 24_000], [24_000, 48_000], [24_000, 44_100], [16_000, 24_000]]) {
  test(`a tone at ${fromHz} Hz is the same tone at ${toHz} Hz`, () => {
    const made = resampled(tone(440, fromHz, 0.5), fromHz, toHz);

    assert.ok(Math.abs(made.length - toHz / 2) < 64, String(made.length));
    assert.ok(difference(made, tone(440, toHz, 0.5)) < 0.01, String(difference(made, tone(440, toHz, 0.5))));
  });
}

test("it is the same in whatever pieces it comes", () => {
  const given = tone(1_000, 44_100, 0.3);

  assert.deepEqual(resampled(given, 44_100, 24_000, 128), resampled(given, 44_100, 24_000, 441));
});

test("what the lower rate can't carry doesn't come through as something else", () => {
  const made = resampled(tone(18_000, 48_000, 0.3), 48_000, 24_000).slice(200, -200);

  assert.ok(Math.max(...made) < 0.01, String(Math.max(...made)));
});

test("a sample too loud is the loudest there is", () => {
  assert.deepEqual([...toInt16(Float32Array.of(2, -2, 0, 0.5))], [32_767, -32_767, 0, 16_383]);
  assert.deepEqual([...toFloat(Int16Array.of(0, 16_384))], [0, 0.5]);
});

// what was heard

test("the response that sounds is the one whose samples play", () => {
  const playout = new Playout();
  playout.add("item_a", "resp_1", S);
  playout.add("item_b", "resp_2", S);

  assert.deepEqual([0, S / 2, S, 1.5 * S, 2 * S].map((played) => playout.advance(played)), ["resp_1", "resp_1", "resp_2", "resp_2", ""]);
});

test("a cut tells of each item how much of it was heard", () => {
  const playout = new Playout();
  playout.add("item_a", "resp_1", S);
  playout.add("item_b", "resp_1", S);
  playout.add("item_b", "resp_1", S);
  playout.add("item_c", "resp_1", S);

  assert.deepEqual(playout.cut(2.5 * S), [{ item: "item_b", heardMs: 1_500 }, { item: "item_c", heardMs: 0 }]);
});

test("what comes of a response after its cut isn't played", () => {
  const playout = new Playout();
  playout.add("item_a", "resp_1", S);
  playout.cut(S / 2);

  assert.equal(playout.add("item_a", "resp_1", S), false);
  assert.equal(playout.add("item_d", "resp_2", S), true);
  assert.equal(playout.advance(0), "resp_2");
});

test("how much of an item came is known, of one of which nothing did too", () => {
  const playout = new Playout();
  playout.add("item_a", "resp_1", 1.5 * S);

  assert.deepEqual([playout.cameMs("item_a"), playout.cameMs("item_b")], [1_500, 0]);
});

test("nothing is cut where all was heard", () => {
  const playout = new Playout();
  playout.add("item_a", "resp_1", S);

  assert.deepEqual(playout.cut(S), []);
  assert.equal(playout.add("item_a", "resp_1", 10), true);
});

test("the player counts anew from a cut", () => {
  const playout = new Playout();
  playout.add("item_a", "resp_1", 3 * S);
  playout.cut(S);
  playout.add("item_b", "resp_2", S);

  assert.deepEqual(playout.cut(S / 4), [{ item: "item_b", heardMs: 250 }]);
});
