// The life of a call on the page: how it is placed, what becomes of its events, and what is said where it fails.

import { Refused, readRecord } from "./api.js";
import { Call } from "./call.js";
import { keep, kept } from "./key.js";
import { followLevels } from "./meters.js";
import { BadPicture, give } from "./picture.js";
import { withRecord } from "./record.js";
import { alertUser, paint, showClock, showKey, showMuted } from "./show.js";
import { NoMicrophone, openMicrophone } from "./sound.js";
import { $, page } from "./state.js";
import { begin, fold, resumed, typed, withNotice } from "./transcript.js";
import { seconds } from "./waits.js";

const RECORD_WAITS_MS = [150, 600, 2_000]; // the record may lag behind what was said
const NO_MICROPHONE = {
  denied: "The browser doesn’t allow the microphone: you can type. Allow it in the site’s settings and call again to talk.",
  missing: "No microphone was found: you can type.",
  busy: "The microphone can’t be opened; another program may have it. You can type.",
  insecure: "Browsers give a microphone to pages on https or localhost only. You can type.",
};
const ENDINGS = { here: "You hung up.", there: "The call was ended by the other side.", lost: "The connection was lost." };

export async function placeCall(wantsMicrophone) {
  const key = kept() || $("key").value.trim();
  if (!key) return askForKey("An API key is needed to call.");
  keep(key);
  showKey();
  alertUser();
  const line = new FormData($("begin")).get("line");
  forgetPictures();
  Object.assign(page, { state: "connecting", view: begin(), call: null, line, isDisturbed: false, disturbedMs: null, isSending: false, beganAt: new Date() });
  const attempt = ++page.attempts;
  paint();
  const microphone = wantsMicrophone ? await microphoneOrNone() : null;
  if (page.attempts !== attempt) return microphone?.getTracks().forEach((track) => track.stop()); // cancelled meanwhile
  const call = new Call({ key, agent: $("agent").value, line, microphone, player: $("player"), on: listener() });
  page.call = call;
  setMuted(false);
  $("mute").hidden = $("hold-hint").hidden = !microphone;
  try {
    await call.start();
  } catch (error) {
    if (page.attempts === attempt) fail(error);
  }
}

async function microphoneOrNone() {
  try {
    return await openMicrophone();
  } catch (error) {
    if (!(error instanceof NoMicrophone)) throw error;
    alertUser(NO_MICROPHONE[error.reason]);
    return null;
  }
}

function listener() {
  return {
    opened: () => {
      page.state = "live";
      page.connectedMs = performance.now();
      paint();
      followLevels(page.call);
      if (matchMedia("(pointer: fine)").matches) $("text").focus();
    },
    event: (event) => {
      page.view = fold(page.view, event, performance.now());
      paint();
      if (event.type === "response.done") readBack(page.call, event.response.id);
      else if (event.type === "response.output_item.done" && event.item.phase === "commentary") readBack(page.call, "");
    },
    disturbed: (is) => {
      page.disturbedMs = is ? page.disturbedMs ?? performance.now() : null;
      page.isDisturbed = is;
      paint();
    },
    moved: () => {
      page.line = "websocket";
      page.isDisturbed = true;
      page.disturbedMs ??= performance.now();
      paint();
    },
    resumed: (gapMs) => {
      const lostMs = Math.max(gapMs, performance.now() - (page.disturbedMs ?? Infinity)); // by either line
      Object.assign(page, { isDisturbed: false, disturbedMs: null });
      page.view = withNotice(resumed(page.view), `The connection was lost, and found again after ${seconds(Math.max(lostMs, 100))}. The call goes on.`);
      paint();
    },
    ended: (reason) => leave(ENDINGS[reason]),
  };
}

function leave(why) {
  showClock();
  page.state = "ended";
  page.isDisturbed = page.isSending = false;
  page.view = withNotice(page.view, `${why} ${$("clock").textContent}`);
  paint();
  readBack(page.call, null);
  $("call").focus();
}

/**
 * Tools of the server, and what was heard, stand in the record; a key for one call can't read it. response: id of the
 * one whose end is to be in it, null for the end of the call, "" for whatever is in it now.
 */
async function readBack(call, response) {
  if (!call.opensMoreThanCalls || !call.id) return;
  for (const waitMs of RECORD_WAITS_MS) {
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    const record = await readRecord(call.key, call.id).catch(() => null);
    if (page.call !== call) return;
    if (record === null) continue;
    page.view = withRecord(page.view, record);
    paint();
    const isThere = (event) => (response === null ? event.type === "ended" : event.type === "response_done" && event.response === response);
    if (response === "" || record.events.some(isThere)) return;
  }
}

function fail(error) {
  page.state = "idle";
  const isKey = error instanceof Refused && error.status === 401;
  if (isKey) askForKey("This key isn’t accepted. Check it, or take the one that trunkline up prints.");
  else alertUser(explain(error));
  if (error instanceof Refused && error.status === 503) waitFor(error.retryAfterS ?? 1);
  paint();
}

function explain(error) {
  if (error instanceof Refused) {
    if (error.status === 503) return `All lines are taken: ${error.message}`;
    return error.status === 0 ? error.message : `The call was refused: ${error.message}`;
  }
  if (error.message !== "no-connection") return `The call failed: ${error.message}`;
  if (page.line === "websocket") return "The gateway didn’t take the WebSocket: all lines may be taken, or a proxy is in the way.";
  return "No connection for sound came about. A firewall may be in the way, or the gateway’s address for WebRTC is not set. WebSocket may work.";
}

function askForKey(text) {
  keep("");
  showKey();
  alertUser(text);
  $("key").setAttribute("aria-invalid", "true");
  $("key").select();
  $("key").focus();
}

function waitFor(waitS) {
  page.busyUntilMs = performance.now() + waitS * 1000;
  const timer = setInterval(() => {
    if (page.busyUntilMs <= performance.now()) clearInterval(timer);
    paint();
  }, 250);
}

export function cancel() {
  page.call?.close();
  Object.assign(page, { state: "idle", call: null, attempts: page.attempts + 1 });
  alertUser();
  paint();
}

export function setMuted(is) {
  page.muted = is;
  if (page.call) page.call.muted = is;
  showMuted();
}

// what the user says otherwise than by voice

export function write(text) {
  page.view = typed(page.view, performance.now());
  page.call.say(text);
}

/** file: a picture. What is written in the field goes along. */
export async function show(file) {
  const call = page.call;
  alertUser();
  page.isSending = true;
  paint();
  try {
    const { part, picture } = await give(call.key, call.opensMoreThanCalls, file);
    if (page.call !== call || call.isOver) return;
    const text = $("text").value.trim();
    $("text").value = "";
    page.view = typed(page.view, performance.now());
    const { image, name, width, height } = picture;
    page.pictures.set(call.say(text, [part]), { url: URL.createObjectURL(image), text: `Picture you showed: ${name}`, width, height });
  } catch (error) {
    if (page.call === call) alertUser(whyNotShown(error));
  } finally {
    page.isSending = false;
    paint();
  }
}

function whyNotShown(error) {
  return error instanceof BadPicture ? error.message : `The picture wasn’t shown: ${error.message}`;
}

function forgetPictures() {
  for (const { url } of page.pictures.values()) URL.revokeObjectURL(url);
  page.pictures = new Map();
}
