// What the page shows of its state. Nothing here changes the state.

import { showWaits } from "./chart.js";
import { kept } from "./key.js";
import { showLines } from "./render.js";
import { $, page } from "./state.js";

export function paint() {
  const isLive = page.state === "live";
  document.body.dataset.state = page.state;
  $("begin").hidden = isLive;
  $("live").hidden = !isLive;
  $("intro").hidden = page.view.entries.length > 0 || isLive;
  showState();
  $("call-text").textContent = callText();
  $("call").disabled = page.busyUntilMs > performance.now();
  $("silent").hidden = page.state === "connecting";
  showLines($("lines"), page.view, page.pictures);
  showWaits($("waits"), page.view);
  $("no-waits").hidden = !$("waits").hidden;
  showFacts();
  showClock();
}

/** Who speaks is seen and not read out: whoever needs that hears it. */
function showState() {
  const sound = page.state === "live" && !page.isDisturbed ? soundOf(page.view) : "";
  document.body.dataset.sound = sound;
  document.body.dataset.disturbed = String(page.isDisturbed);
  $("sound").textContent = { caller: "Hearing you", agent: "Agent speaks" }[sound] ?? "";
  $("state").classList.toggle("hidden", Boolean($("sound").textContent));
  if ($("state").textContent !== stateText()) $("state").textContent = stateText();
}

function stateText() {
  if (page.state !== "live") return { idle: "Ready", connecting: "Connecting…", ended: "Call ended" }[page.state];
  if (page.isDisturbed) return page.line === "websocket" ? "Reconnecting…" : "Connection disturbed…";
  if (page.isSending) return "Sending the picture…";
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
  $("fact-line").textContent = session ? { webrtc: "WebRTC", websocket: "WebSocket" }[page.line] : "–";
  $("fact-call").textContent = page.call?.id || "–";
  const isThere = Boolean(page.call?.id);
  $("keep-sound").disabled = !isThere || !page.call.sound.recorder;
  $("keep-text").disabled = $("keep-json").disabled = !isThere || page.view.entries.length === 0;
}

export function showClock() {
  if (page.state === "live") {
    const passed = Math.floor((performance.now() - page.connectedMs) / 1000);
    $("clock").textContent = `${Math.floor(passed / 60)}:${String(passed % 60).padStart(2, "0")}`;
  } else if (page.state !== "ended") {
    $("clock").textContent = "";
  }
}

export function showKey() {
  const key = kept();
  $("key-field").hidden = Boolean(key);
  $("key-kept").hidden = !key;
  $("key-end").textContent = key ? `…${key.slice(-4)}` : "";
}

export function alertUser(text = "") {
  $("alert").textContent = text;
  $("alert").hidden = !text;
}

export function showMuted() {
  const name = page.muted ? "Unmute microphone" : "Mute microphone";
  $("mute").setAttribute("aria-pressed", String(page.muted));
  $("mute").setAttribute("aria-label", name);
  $("mute").title = name;
}

/** names: of agents that may be chosen. The one that was chosen stays so. */
export function showAgents(names) {
  const select = $("agent");
  const chosen = select.value;
  const options = ["", ...names].map((name) => new Option(name || "Default agent", name));
  select.replaceChildren(...options);
  select.value = names.includes(chosen) ? chosen : "";
}
