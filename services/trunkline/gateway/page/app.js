// The page: its controls, its state, and what it says when something goes wrong.

import { Refused, readRecord } from "./api.js";
import { Call, NoMicrophone, openMicrophone } from "./call.js";
import { keep, kept, takeFromAddress } from "./key.js";
import { showLines, showWaits } from "./render.js";
import { begin, fold, typed, withNotice, withRecord } from "./transcript.js";

const RECORD_WAITS_MS = [150, 600, 2_000]; // the record may lag behind what was said
const $ = (id) => document.getElementById(id);
const page = { state: "idle", view: begin(), call: null, connectedMs: 0, muted: false, isDisturbed: false, busyUntilMs: 0, attempts: 0 };

// what is shown

function paint() {
  document.body.dataset.state = page.state;
  $("begin").hidden = page.state === "live";
  $("live").hidden = page.state !== "live";
  $("intro").hidden = page.view.entries.length > 0 || page.state === "live";
  showState();
  $("call-text").textContent = callText();
  $("call").disabled = page.busyUntilMs > performance.now();
  $("silent").hidden = page.state === "connecting";
  showLines($("lines"), page.view);
  showWaits($("waits"), page.view);
  showFacts();
  showClock();
}

/** Who speaks is seen and not read out: whoever needs that hears it. */
function showState() {
  const sound = page.state === "live" && !page.isDisturbed ? soundOf(page.view) : "";
  document.body.dataset.sound = sound;
  $("sound").textContent = { caller: "Hearing you", agent: "Agent speaks" }[sound] ?? "";
  $("state").classList.toggle("hidden", Boolean($("sound").textContent));
  if ($("state").textContent !== stateText()) $("state").textContent = stateText();
}

function stateText() {
  if (page.state !== "live") return { idle: "Ready", connecting: "Connecting…", ended: "Call ended" }[page.state];
  if (page.isDisturbed) return "Connection disturbed…";
  return page.muted ? "Muted" : "Connected";
}

function soundOf(view) {
  if (view.callerSpeaks) return "caller";
  return view.sounding ? "agent" : "";
}

function callText() {
  if (page.state === "connecting") return "Cancel";
  const waitMs = page.busyUntilMs - performance.now();
  if (waitMs > 0) return `Call again in ${Math.ceil(waitMs / 1000)} s`;
  return page.state === "ended" ? "Call again" : "Call";
}

function showFacts() {
  const session = page.view.session;
  $("fact-agent").textContent = page.view.agent || session?.model || (session ? "default" : "–");
  $("fact-voice").textContent = session?.audio?.output?.voice || (session ? "default" : "–");
  $("fact-call").textContent = page.call?.id || "–";
}

function showClock() {
  if (page.state === "live") {
    const passed = Math.floor((performance.now() - page.connectedMs) / 1000);
    $("clock").textContent = `${Math.floor(passed / 60)}:${String(passed % 60).padStart(2, "0")}`;
  } else if (page.state !== "ended") {
    $("clock").textContent = "";
  }
}

function showKey() {
  const key = kept();
  $("key-field").hidden = Boolean(key);
  $("key-kept").hidden = !key;
  $("key-end").textContent = key ? `…${key.slice(-4)}` : "";
}

function alertUser(text = "") {
  $("alert").textContent = text;
  $("alert").hidden = !text;
}

// a call

async function placeCall(wantsMicrophone) {
  const key = kept() || $("key").value.trim();
  if (!key) return askForKey("An API key is needed to call.");
  keep(key);
  showKey();
  alertUser();
  Object.assign(page, { state: "connecting", view: begin(), call: null });
  const attempt = ++page.attempts;
  paint();
  const microphone = wantsMicrophone ? await microphoneOrNone() : null;
  if (page.attempts !== attempt) return microphone?.getTracks().forEach((track) => track.stop()); // cancelled meanwhile
  const call = new Call({ key, microphone, player: $("player"), on: listener() });
  page.call = call;
  setMuted(false);
  $("mute").hidden = !microphone;
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

const NO_MICROPHONE = {
  denied: "The browser doesn’t allow the microphone: you can type. Allow it in the site’s settings and call again to talk.",
  missing: "No microphone was found: you can type.",
  busy: "The microphone can’t be opened; another program may have it. You can type.",
  insecure: "Browsers give a microphone to pages on https or localhost only. You can type.",
};

function listener() {
  return {
    opened: () => {
      page.state = "live";
      page.connectedMs = performance.now();
      paint();
      if (matchMedia("(pointer: fine)").matches) $("text").focus();
    },
    event: (event) => {
      page.view = fold(page.view, event, performance.now());
      paint();
      if (event.type === "response.done") readBack(page.call, event.response.id);
    },
    disturbed: (is) => {
      page.isDisturbed = is;
      paint();
    },
    ended: (reason) => leave({ here: "You hung up.", there: "The call was ended by the other side.", lost: "The connection was lost." }[reason]),
  };
}

function leave(why) {
  showClock();
  page.state = "ended";
  page.isDisturbed = false;
  page.view = withNotice(page.view, `${why} ${$("clock").textContent}`);
  paint();
  readBack(page.call, null);
  $("call").focus();
}

/**
 * Tools of the server, and what was heard, stand in the record; a key for one call can't read it. response: id of the
 * one that is to be in it, null for the end of the call.
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
    if (record.events.some(isThere)) return;
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
  if (error.message === "no-connection") return "No connection for sound came about. A firewall may be in the way, or the gateway’s address for WebRTC is not set.";
  return `The call failed: ${error.message}`;
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

function cancel() {
  page.call?.close();
  Object.assign(page, { state: "idle", call: null, attempts: page.attempts + 1 });
  alertUser();
  paint();
}

function setMuted(is) {
  page.muted = is;
  if (page.call) page.call.muted = is;
  $("mute").setAttribute("aria-pressed", String(is));
  $("mute").setAttribute("aria-label", is ? "Unmute microphone" : "Mute microphone");
  $("mute").title = is ? "Unmute microphone" : "Mute microphone";
}

// controls

$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  if (page.state === "connecting") cancel();
  else placeCall(true);
});
$("silent").addEventListener("click", () => placeCall(false));
$("key").addEventListener("input", () => $("key").removeAttribute("aria-invalid"));
$("forget").addEventListener("click", () => {
  keep("");
  $("key").value = "";
  showKey();
  $("key").focus();
});
$("live").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  page.view = typed(page.view, performance.now());
  page.call.say(text);
  $("text").value = "";
});
$("mute").addEventListener("click", () => {
  setMuted(!page.muted);
  paint();
});
$("hang-up").addEventListener("click", () => page.call.hangUp());
addEventListener("pagehide", () => page.state === "live" && page.call.abandon());
addEventListener("hashchange", () => takeFromAddress() && showKey());
setInterval(showClock, 500);

takeFromAddress();
showKey();
paint();
