// What the call's record (GET /v1/calls/<id>) knows besides the events: the server's tools, what was heard, who worded
// what, and how long agent and tools took. Pure.

import { find, patch } from "./transcript.js";

/** The view with what the record tells of it; the same view where that is nothing new. */
export function withRecord(view, record) {
  const speaker = record.items.findLast((item) => item.agent)?.agent ?? record.agent ?? "";
  const named = speaker === view.agent ? view : { ...view, agent: speaker };
  return record.tools.reduce(addTool, record.items.reduce(addHeard, addTimes(named, record.events ?? [])));
}

/** Per response, in ms of the gateway's clocks: how long the agent and its tools took until its first words were there. */
function addTimes(view, events) {
  const times = {};
  for (const id of Object.keys(view.responses)) {
    const found = view.times[id] ?? timesOf(events, id);
    if (found) times[id] = found;
  }
  return Object.keys(times).length === Object.keys(view.times).length ? view : { ...view, times };
}

function timesOf(events, response) {
  const asked = events.find((event) => event.type === "response" && event.response === response);
  const items = new Set(events.filter((event) => event.type === "assistant_item" && event.response === response).map((event) => event.item));
  const worded = events.find((event) => event.type === "segment" && items.has(event.item));
  if (!asked || !worded) return null;
  const before = events.slice(0, events.indexOf(worded));
  const wholeMs = msBetween(asked, worded);
  const toolMs = before
    .filter((event) => event.type === "intent" && event.response === response)
    .map((intent) => [intent, before.find((event) => event.type === "result" && event.tool_call === intent.tool_call)])
    .reduce((sum, [intent, result]) => sum + (result ? msBetween(intent, result) : 0), 0);
  return { agentMs: Math.max(0, wholeMs - toolMs), toolMs: Math.min(toolMs, wholeMs) };
}

const msBetween = (earlier, later) => Math.max(0, Date.parse(later.at) - Date.parse(earlier.at));

function addHeard(view, item) {
  const entry = find(view, item.id);
  if (entry?.kind !== "agent") return view;
  const isCut = item.status === "interrupted";
  const fields = {
    source: entry.source || (item.source === "model" ? "" : item.source ?? ""),
    state: isCut ? "cut" : entry.state,
    heard: isCut ? item.heard_text : entry.heard,
    text: (isCut && item.text) || entry.text, // with what was never begun, and once what another gateway told again
  };
  return Object.keys(fields).some((name) => fields[name] !== entry[name]) ? patch(view, item.id, fields) : view;
}

function addTool(view, tool) {
  const fields = { status: tool.status, result: tool.result, arguments: tool.arguments };
  const known = view.entries.find((entry) => entry.kind === "tool" && entry.call === tool.id);
  if (known) {
    const same = known.status === fields.status && asText(known.result) === asText(fields.result);
    return same ? view : patch(view, known.id, fields);
  }
  if (!view.responses[tool.response]) return view; // of an answer that is still to come
  const entry = { id: tool.id, kind: "tool", where: "server", call: tool.id, name: tool.name, response: tool.response, ...fields };
  const at = placeOfTool(view.entries, tool.response);
  return { ...view, entries: [...view.entries.slice(0, at), entry, ...view.entries.slice(at)] };
}

/** Behind the commentary that announced it, before the answer that tells of it. */
function placeOfTool(entries, response) {
  const answer = entries.findIndex(
    (entry) => entry.kind === "agent" && entry.response === response && entry.phase !== "commentary",
  );
  if (answer >= 0) return answer;
  const last = entries.findLastIndex((entry) => entry.response === response);
  return last >= 0 ? last + 1 : entries.length;
}

/** JSON as a person reads it; text as it is. */
export function asText(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** `city: Tokyo, day: monday`, of an object or of JSON text. */
export function argumentsText(value) {
  let given = value;
  try {
    if (typeof value === "string") given = JSON.parse(value || "{}");
  } catch {
    return value;
  }
  if (given === null || typeof given !== "object") return asText(given);
  return Object.entries(given).map(([name, each]) => `${name}: ${asText(each)}`).join(", ");
}
