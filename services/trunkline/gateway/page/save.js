// A call's transcript as text to keep, and anything as a file to download. `asMarkdown` is pure.

import { argumentsText, asText } from "./record.js";
import { parts } from "./transcript.js";
import { seconds, waitMs } from "./waits.js";

const TITLES = { commentary: "Progress", final_answer: "Answer" };

/** facts: {call, agent, when}, each a text, empty where it isn't known. */
export function asMarkdown(view, facts) {
  const head = [`# Call ${facts.call}`.trim(), "", ...named("Agent", facts.agent), ...named("When", facts.when)];
  const lines = view.entries.flatMap((entry) => ["", lineOf(view, entry)]);
  return `${[...head, ...lines].join("\n")}\n`;
}

const named = (name, text) => (text ? [`${name}: ${text}  `] : []);

function lineOf(view, entry) {
  if (entry.kind === "notice") return `*${entry.text}*`;
  if (entry.kind === "tool") return toolLine(entry);
  if (entry.kind === "user") return `**You:** ${"[picture] ".repeat(entry.pictures)}${entry.text}`.trim();
  const title = entry.source === "greeting" ? "Greeting" : TITLES[entry.phase] ?? "Agent";
  const wait = waitMs(view, entry);
  const after = wait === null ? "" : ` (after ${seconds(wait)})`;
  const { heard, lost } = parts(entry);
  const cut = entry.state === "cut" ? ` [interrupted${entry.heardMs === null ? "" : ` at ${seconds(entry.heardMs)}`}]` : "";
  return `**${title}${after}:** ${heard.trim()}${cut}${lost.trim() ? ` ~~${lost.trim()}~~` : ""}`;
}

function toolLine(entry) {
  const result = asText(entry.result);
  const ended = entry.status ? `: ${entry.status}` : "";
  return `- Tool \`${entry.name}(${argumentsText(entry.arguments)})\`${ended}${result ? `, ${result}` : ""}`;
}

/** The user's browser saves it. */
export function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // the browser has begun to read it by then
}

export const asBlob = (text, type) => new Blob([text], { type });
