// The transcript as elements of the page. What has changed is made anew; text only ever enters as text, never as markup.

import { argumentsText, asText } from "./record.js";
import { parts } from "./transcript.js";
import { seconds, waitMs } from "./waits.js";

const STATUS = { ok: "done", error: "failed", timeout: "timed out", denied: "denied", cancelled: "cancelled", unknown: "outcome unknown" };
const shown = new WeakMap(); // element -> the entry and wait that it shows
const bottoms = new WeakMap(); // what scrolls -> where its bottom was
const NEAR_PX = 80;

/**
 * Brings the list in line with the view. Stays at the bottom unless the reader has scrolled up. pictures: a user's item ->
 * {url, text}, what was shown.
 */
export function showLines(list, view, pictures) {
  const scroller = list.parentElement;
  const follows = scroller.scrollTop > (bottoms.get(scroller) ?? 0) - NEAR_PX;
  const old = new Map([...list.children].map((element) => [element.dataset.id, element]));
  view.entries.forEach((entry, index) => {
    const element = old.get(entry.id) ?? create("div", { dataset: { id: entry.id } });
    old.delete(entry.id);
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    showEntry(element, entry, waitMs(view, entry), pictures.get(entry.id));
  });
  for (const gone of old.values()) gone.remove();
  if (!follows) return;
  scroller.scrollTop = scroller.scrollHeight;
  bottoms.set(scroller, scroller.scrollTop);
}

function showEntry(element, entry, wait, picture) {
  const before = shown.get(element);
  if (before?.entry === entry && before.wait === wait) return;
  shown.set(element, { entry, wait });
  const { name, content } = LOOKS[entry.kind](entry, wait, picture);
  element.className = `line ${name}`;
  element.setAttribute("aria-busy", String(["speaking", "hearing", "transcribing"].includes(entry.state)));
  element.replaceChildren(...content);
}

const LOOKS = {
  user(entry, wait, picture) {
    const words = entry.text || { failed: "(not understood)", done: "(nothing understood)" }[entry.state] || "…";
    const name = (entry.text || entry.pictures) && entry.state === "done" ? "user" : "user pending";
    const content = [label("You")];
    if (picture) content.push(create("img", { className: "picture", src: picture.url, alt: picture.text, width: picture.width, height: picture.height }));
    else if (entry.pictures) content.push(create("p", { className: "words" }, "(a picture)"));
    if (entry.text || !entry.pictures) content.push(create("p", { className: "words" }, words));
    return { name, content };
  },

  agent(entry, wait) {
    const { heard, lost } = parts(entry);
    const words = create("p", { className: "words" }, heard.trim() || (lost ? "" : "…"));
    if (entry.state === "cut") words.append(" ", cutMark(entry), " ", create("s", { className: "lost" }, lost.trim()));
    const title = agentLabel(entry);
    const isAnswer = entry.phase === "final_answer";
    return { name: `agent ${kindOf(entry)}`, content: [label(title, wait, isAnswer ? "answer" : "progress note"), words] };
  },

  tool(entry) {
    const status = entry.status ? STATUS[entry.status] ?? entry.status : entry.result === null ? "running" : "answered by this page";
    const head = create("p", { className: "head" });
    head.append(
      create("span", { className: "what" }, entry.where === "client" ? "Client tool" : "Tool"), " ",
      create("code", {}, `${entry.name}(${argumentsText(entry.arguments)})`), " ",
      create("span", { className: `chip ${entry.status ?? "open"}` }, status),
    );
    const result = asText(entry.result);
    return { name: "tool", content: result ? [head, create("p", { className: "result" }, result)] : [head] };
  },

  notice(entry) {
    return { name: entry.code ? "notice bad" : "notice", content: [create("p", {}, entry.text)] };
  },
};

function kindOf(entry) {
  if (entry.source === "greeting") return "greeting";
  if (entry.phase === "commentary") return "commentary";
  return entry.phase === "final_answer" ? "answer" : "open";
}

function agentLabel(entry) {
  if (entry.source === "greeting") return "Greeting";
  if (entry.source === "filler") return "Filler";
  if (entry.phase === "commentary") return "Progress";
  return entry.phase === "final_answer" ? "Answer" : "Agent";
}

function label(text, wait = null, what = "") {
  const line = create("p", { className: "label" }, text);
  if (wait !== null) {
    const title = `From your last word to this ${what}`;
    line.append(" ", create("span", { className: "wait", title }, seconds(wait)));
  }
  return line;
}

function cutMark(entry) {
  const at = entry.heardMs === null ? "" : ` at ${seconds(entry.heardMs)}`;
  return create("span", { className: "cut" }, `interrupted${at}`);
}

/** An element. text: never markup. */
export function create(name, fields = {}, text = "") {
  const { dataset = {}, ...rest } = fields;
  const element = Object.assign(document.createElement(name), rest);
  Object.assign(element.dataset, dataset);
  element.textContent = text;
  return element;
}
