// How loud both sides are, twenty times a second, or twice where the user wants little to move.

import { $, page } from "./state.js";

const FRAME_MS = 50;
const CALM_MS = 500;

/** Until the call is over. */
export function followLevels(call) {
  const period = matchMedia("(prefers-reduced-motion: reduce)").matches ? CALM_MS : FRAME_MS;
  const timer = setInterval(() => {
    const goesOn = page.call === call && !call.isOver;
    for (const side of ["caller", "agent"]) {
      const level = goesOn ? call.sound.level(side) : 0;
      $(`meter-${side}`).style.setProperty("--level", level.toFixed(2));
    }
    if (!goesOn) clearInterval(timer);
  }, period);
}
