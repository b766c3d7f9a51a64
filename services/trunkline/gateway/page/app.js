// The page's controls, and what they set off.

import { listModels, readRecord } from "./api.js";
import { cancel, placeCall, setMuted, show, write } from "./calling.js";
import { keep, kept, takeFromAddress } from "./key.js";
import { pictureIn } from "./picture.js";
import { asBlob, asMarkdown, download } from "./save.js";
import { alertUser, paint, showAgents, showClock, showKey } from "./show.js";
import { $, page } from "./state.js";

const isLive = () => page.state === "live";

// before a call

$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  if (page.state === "connecting") cancel();
  else placeCall(true);
});
$("silent").addEventListener("click", () => placeCall(false));
$("key").addEventListener("input", () => $("key").removeAttribute("aria-invalid"));
$("key").addEventListener("change", () => fillAgents($("key").value.trim()));
$("forget").addEventListener("click", () => {
  keep("");
  $("key").value = "";
  showKey();
  $("key").focus();
});

/** What this installation has. A key for calls alone may not ask, and reaches the agent that it was made for. */
async function fillAgents(key) {
  if (!key || key.startsWith("ek_")) return showAgents([]);
  const models = await listModels(key).catch(() => []);
  showAgents(models.filter((model) => model.owned_by === "trunkline.agents").map((model) => model.id));
}

// on a call

$("live").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  write(text);
  $("text").value = "";
});
$("mute").addEventListener("click", () => {
  setMuted(!page.muted);
  paint();
});
$("hang-up").addEventListener("click", () => page.call.hangUp());
$("picture").addEventListener("click", () => $("picture-file").click());
$("picture-file").addEventListener("change", () => {
  showPicture($("picture-file").files);
  $("picture-file").value = "";
});

/** Whether there was one. */
function showPicture(files) {
  const file = pictureIn(files);
  if (!file || !isLive()) return false;
  show(file);
  return true;
}

addEventListener("paste", (event) => showPicture(event.clipboardData?.files) && event.preventDefault());
addEventListener("dragover", (event) => {
  event.preventDefault();
  if (isLive()) document.body.dataset.drag = "";
});
for (const over of ["dragleave", "drop"]) addEventListener(over, () => delete document.body.dataset.drag);
addEventListener("drop", (event) => {
  event.preventDefault();
  const given = event.dataTransfer?.files;
  if (!showPicture(given) && isLive() && given?.length) alertUser("Only pictures can be shown.");
});

// keys: Escape stops the agent; who is muted talks while Space is held

const isControl = (element) => element.closest?.("button, input, select, summary, textarea") !== null;
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && closeDetails()) return;
  if (!isLive()) return;
  if (event.key === "Escape") page.call.interrupt();
  if (event.key !== " " || isControl(event.target)) return;
  event.preventDefault();
  if (page.muted && !event.repeat) holdToTalk();
});

function holdToTalk() {
  setMuted(false);
  paint();
  const release = () => {
    for (const name of ["keyup", "blur"]) removeEventListener(name, release);
    setMuted(true);
    paint();
  };
  for (const name of ["keyup", "blur"]) addEventListener(name, release);
}

// beside the call

$("details").addEventListener("click", () => setDetails($("details").getAttribute("aria-expanded") !== "true"));

function setDetails(isOpen) {
  $("details").setAttribute("aria-expanded", String(isOpen));
  document.body.dataset.details = String(isOpen);
}

/** Whether they were open. */
function closeDetails() {
  if (document.body.dataset.details !== "true") return false;
  setDetails(false);
  $("details").focus();
  return true;
}

$("keep-sound").addEventListener("click", async () => {
  const blob = await page.call.sound.recording();
  if (blob) download(blob, `${page.call.id}.${blob.type.split("/")[1]}`);
});
$("keep-text").addEventListener("click", () => {
  const facts = { call: page.call.id, agent: $("fact-agent").textContent, when: page.beganAt.toISOString() };
  download(asBlob(asMarkdown(page.view, facts), "text/markdown"), `${page.call.id}.md`);
});
$("keep-json").addEventListener("click", async () => {
  const { key, id, opensMoreThanCalls } = page.call;
  const record = opensMoreThanCalls ? await readRecord(key, id).catch(() => null) : null;
  const kept = record ?? { call_id: id, entries: page.view.entries };
  download(asBlob(JSON.stringify(kept, null, 2), "application/json"), `${id}.json`);
});

addEventListener("pagehide", () => isLive() && page.call.abandon());
addEventListener("hashchange", () => takeFromAddress() && start());
setInterval(showClock, 500);

function start() {
  showKey();
  fillAgents(kept());
  paint();
}

takeFromAddress();
start();
