// What a call's events come to: who said what, in which phase, and how far it was heard.
// Pure: no page, no network, no clock. A view is never changed; an entry that stays the same stays the same object.

/**
 * How a call begins. `asked`: {fromMs, takenMs}, when the caller was done with the turn that is to be answered, and when
 * the gateway had it. `spoke`: where and when his last words began and ended. `times`: see record.js.
 */
export function begin() {
  return {
    session: null,
    agent: "", // who speaks, once the record has told
    entries: [],
    responses: {},
    times: {},
    open: null, // id of the response that runs
    callerSpeaks: false,
    sounding: null, // id of the response that is heard
    spoke: null,
    asked: null,
  };
}

/** The view after one more server event. atMs: when it came, on a clock that only goes forward. */
export function fold(view, event, atMs) {
  const change = CHANGES[event.type];
  return change ? change(view, event, atMs) : view;
}

/** Another gateway has the call: what it was in the middle of hearing, it hears from the beginning. */
export function resumed(view) {
  const isOpen = (entry) => entry.state === "hearing" || entry.state === "transcribing";
  return { ...view, entries: view.entries.map((entry) => (isOpen(entry) ? { ...entry, text: "" } : entry)) };
}

/** The caller has asked for an answer in writing. */
export function typed(view, atMs) {
  return { ...view, asked: { fromMs: atMs, takenMs: atMs } };
}

const CHANGES = {
  "session.created": (view, event) => ({ ...view, session: event.session }),
  "session.updated": (view, event) => ({ ...view, session: event.session }),
  error: (view, event) => withNotice(view, event.error.message, event.error.code),

  // the caller
  "input_audio_buffer.speech_started": (view, event, atMs) => ({
    ...view,
    callerSpeaks: true,
    spoke: { item: event.item_id, beganMs: atMs, fromMs: event.audio_start_ms, endedMs: null },
  }),
  "input_audio_buffer.speech_stopped": (view, event, atMs) => ({
    ...view,
    callerSpeaks: false,
    spoke: { item: event.item_id, endedMs: lastWordMs(view.spoke, event, atMs) },
  }),
  "input_audio_buffer.committed": (view, event, atMs) => {
    const spoke = view.spoke?.item === event.item_id ? view.spoke.endedMs : null; // push to talk waits for no silence
    const withoutOrphans = dropHearing(view, event.item_id);
    return putUser({ ...withoutOrphans, asked: { fromMs: spoke ?? atMs, takenMs: atMs } }, event.item_id, { state: "transcribing" });
  },
  "conversation.item.input_audio_transcription.delta": (view, event) => {
    const known = find(view, event.item_id);
    if (known?.state === "done") return view;
    return putUser(view, event.item_id, { text: (known?.text ?? "") + (event.delta ?? "") });
  },
  "conversation.item.input_audio_transcription.completed": (view, event) =>
    putUser(view, event.item_id, { text: event.transcript, state: "done" }),
  "conversation.item.input_audio_transcription.failed": (view, event) =>
    putUser(view, event.item_id, { state: "failed" }),

  // items
  "conversation.item.added": (view, event) => addItem(view, event.item),
  "conversation.item.deleted": (view, event) => without(view, event.item_id),
  "conversation.item.truncated": (view, event) =>
    patch(view, event.item_id, { state: "cut", heardMs: event.audio_end_ms }),
  "conversation.item.retrieved": (view, event) => {
    const entry = find(view, event.item.id);
    const words = textOf(event.item);
    const isCut = entry?.state === "cut" && words !== entry.text && entry.text.startsWith(words);
    return isCut ? patch(view, entry.id, { heard: words }) : view;
  },

  // the agent
  "response.created": (view, event) => ({
    ...view,
    open: event.response.id,
    asked: null,
    responses: {
      ...view.responses,
      [event.response.id]: { askedMs: view.asked?.fromMs ?? null, takenMs: view.asked?.takenMs ?? null, soundMs: null, status: "in_progress" },
    },
  }),
  "response.output_item.added": (view, event) => addItem(view, event.item, event.response_id),
  "response.output_audio_transcript.delta": addWords,
  "response.output_text.delta": addWords,
  "response.output_item.done": (view, event) => closeItem(view, event.item, event.response_id),
  "response.done": closeResponse,
  "output_audio_buffer.started": (view, event, atMs) => {
    const response = view.responses[event.response_id];
    const begun = { ...view, sounding: event.response_id };
    if (!response || response.soundMs !== null) return begun;
    const responses = { ...view.responses, [event.response_id]: { ...response, soundMs: atMs } };
    return { ...begun, responses };
  },
  "output_audio_buffer.stopped": fallSilent,
  "output_audio_buffer.cleared": fallSilent,
};

/** The silence by which the end of a turn is known is part of the wait: words end where their audio does. */
function lastWordMs(spoke, event, atMs) {
  if (spoke?.item !== event.item_id || spoke.endedMs !== null) return atMs;
  return Math.min(atMs, spoke.beganMs + event.audio_end_ms - spoke.fromMs);
}

function fallSilent(view, event) {
  return view.sounding === event.response_id ? { ...view, sounding: null } : view;
}

// pieces of a view

export const find = (view, id) => view.entries.find((entry) => entry.id === id);
const without = (view, id) => ({ ...view, entries: view.entries.filter((entry) => entry.id !== id) });
export const append = (view, entry) => ({ ...view, entries: [...view.entries, entry] });

export function patch(view, id, fields) {
  const entries = view.entries.map((entry) => (entry.id === id ? { ...entry, ...fields } : entry));
  return { ...view, entries };
}

export function withNotice(view, text, code = "") {
  return append(view, { id: `notice_${view.entries.length}`, kind: "notice", text, code });
}

function putUser(view, id, fields) {
  if (find(view, id)) return patch(view, id, fields);
  return append(view, { id, kind: "user", text: "", state: "hearing", pictures: 0, ...fields });
}

/** Words that were heard while a turn was uncertain, and became none. */
function dropHearing(view, except) {
  const entries = view.entries.filter((entry) => entry.state !== "hearing" || entry.id === except);
  return { ...view, entries };
}

const textOf = (item) => (item.content ?? []).map((part) => part.transcript ?? part.text ?? "").join("");

function addItem(view, item, response = null) {
  if (find(view, item.id)) return view;
  if (item.type === "function_call_output") return giveResult(view, item.call_id, { result: item.output });
  if (item.type === "function_call") return append(view, clientTool(item, response));
  if (item.type !== "message") return view;
  if (item.role === "user") return putUser(view, item.id, ofUser(item));
  if (item.role !== "assistant") return view;
  const source = isGreeting(view, response) ? "greeting" : "";
  const entry = {
    id: item.id, kind: "agent", response, source, phase: item.phase ?? null, text: textOf(item),
    state: response ? "speaking" : "done", heard: null, heardMs: null, beganMs: null,
  };
  return append(view, entry);
}

/** pictures: how many the user showed. */
function ofUser(item) {
  const has = (type) => (item.content ?? []).filter((part) => part.type === type).length;
  if (has("input_audio")) return { state: "transcribing" };
  return { state: "done", text: textOf(item), pictures: has("input_image") };
}

/** It answers nobody, and nobody has said anything yet. */
function isGreeting(view, response) {
  const answers = view.responses[response]?.askedMs != null;
  return !answers && !view.entries.some((entry) => entry.kind === "user" || (entry.response ?? response) !== response);
}

function addWords(view, event, atMs) {
  const entry = find(view, event.item_id);
  if (!entry) return view;
  return patch(view, entry.id, { text: entry.text + event.delta, beganMs: entry.beganMs ?? atMs });
}

function closeItem(view, item, response) {
  const known = addItem(view, item, response);
  if (item.type === "function_call") return patch(known, item.id, { arguments: item.arguments });
  const entry = find(known, item.id);
  if (entry?.kind !== "agent") return known;
  const state = item.status === "incomplete" || entry.state === "cut" ? "cut" : "done";
  const told = textOf(item) || entry.text;
  const isShorter = state === "cut" && told !== entry.text && entry.text.startsWith(told); // only what was heard
  const said = isShorter ? { heard: told } : { text: told };
  return patch(known, item.id, { state, phase: item.phase ?? null, ...said });
}

function closeResponse(view, event) {
  const { id, status, status_details: details, output = [] } = event.response;
  const cut = status === "completed" ? view : cutOpen(view, id);
  const settled = output.reduce((past, item) => closeItem(past, item, id), cut);
  const response = { askedMs: null, takenMs: null, soundMs: null, ...view.responses[id], status };
  const over = { ...settled, open: view.open === id ? null : view.open, responses: { ...view.responses, [id]: response } };
  if (status === "failed") return withNotice(over, details?.error?.message ?? "The answer failed.", "response_failed");
  if (status === "incomplete") return withNotice(over, `The answer is incomplete: ${details?.reason ?? "cut short"}.`);
  return over;
}

function cutOpen(view, response) {
  const isOpen = (entry) => entry.kind === "agent" && entry.response === response && entry.state === "speaking";
  return { ...view, entries: view.entries.map((entry) => (isOpen(entry) ? { ...entry, state: "cut" } : entry)) };
}

// tools that the client runs

function clientTool(item, response) {
  return {
    id: item.id, kind: "tool", where: "client", call: item.call_id, name: item.name,
    arguments: item.arguments, status: null, result: null, response,
  };
}

function giveResult(view, call, fields) {
  const tool = view.entries.find((entry) => entry.kind === "tool" && entry.call === call);
  return tool ? patch(view, tool.id, fields) : view;
}

/** Of the agent's words: those that were heard, and those that were cut off. */
export function parts(entry) {
  if (entry.state !== "cut" || entry.heard === null) return { heard: entry.text, lost: "" };
  const lost = entry.text.startsWith(entry.heard) ? entry.text.slice(entry.heard.length) : "";
  return { heard: entry.heard, lost };
}
