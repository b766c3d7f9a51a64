// What the page knows. `live` is a call that goes on, also while its line is sought again.

import { begin } from "./transcript.js";

export const $ = (id) => document.getElementById(id);

/** state: idle, connecting, live or ended. pictures: a user's item -> what was shown with it. */
export const page = {
  state: "idle",
  view: begin(),
  call: null,
  line: "webrtc",
  connectedMs: 0,
  muted: false,
  isDisturbed: false,
  disturbedMs: null, // since when
  isSending: false,
  busyUntilMs: 0,
  attempts: 0,
  pictures: new Map(),
  beganAt: null,
};
