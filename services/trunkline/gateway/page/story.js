// What this page has been told and has said on a call, so that a later gateway says only the rest, and each thing is
// heard once. Pure. Format: the first event of a client that comes back, `trunkline.resume`.

const REMEMBERED = 4_000; // events that come once each
const SEGMENTS = 64; // of whose audio the extent is told
const UNRECORDED = 16; // messages and cancellations that the record may lack
const BEING_WORDED = "conversation.item.input_audio_transcription.delta";
const WORDED = "conversation.item.input_audio_transcription.completed";
const OVER = [WORDED, "conversation.item.input_audio_transcription.failed"];
const ONCE_PER_ITEM = new Set([
  "conversation.item.added",
  "conversation.item.done",
  "response.output_item.added",
  "response.output_item.done",
  "response.content_part.added",
  "response.content_part.done",
  "response.output_audio.done",
  "response.output_audio_transcript.done",
  "response.output_text.done",
  "response.function_call_arguments.delta",
  "response.function_call_arguments.done",
  "input_audio_buffer.speech_started",
  "input_audio_buffer.speech_stopped",
  "input_audio_buffer.committed",
  ...OVER,
]);
const WORDS = new Set(["response.output_audio_transcript.delta", "response.output_text.delta"]);

export class Story {
  constructor() {
    this.seen = new Set();
    this.received = new Map(); // `item segment` -> {item_id, segment, samples}
    this.begun = new Map(); // utterance's item -> where it began, in ms
    this.written = new Map(); // event_id -> the event conversation.item.create
    this.beingWorded = new Map(); // item -> whether by a gateway that was left since
    this.open = new Set(); // responses
    this.cancelled = new Map(); // response -> why
    this.respond = null; // event_id of a response.create that nothing has come of
  }

  /** What a gateway was told. Only what has ids of its own can be told again. */
  said(event) {
    if (event.type === "response.create") this.respond = event.event_id;
    if (event.type === "conversation.item.create") remember(this.written, event.event_id, event, UNRECORDED);
  }

  /** The event if it is new, otherwise null. Of audio that came in part, `skip` tells how many samples did. */
  news(event) {
    const { type, response_id: response } = event;
    if (type === "response.created" || type === "response.done") return this.ofResponse(event);
    if (response && this.seen.has(`response.done ${response}`)) return null;
    if (type === "response.output_audio.delta") return this.ofAudio(event);
    if (WORDS.has(type)) return event.segment === undefined || this.isFirst(`${type} ${event.segment}`, event.item_id) ? event : null;
    if (type === BEING_WORDED) return this.ofWords(event);
    if (ONCE_PER_ITEM.has(type)) return this.ofItem(event);
    if (type === "error") this.refused(event.error.event_id);
    return event;
  }

  ofResponse(event) {
    const { id, status, status_details: details } = event.response;
    if (!this.isFirst(event.type, id)) return null;
    if (event.type === "response.created") {
      this.respond = null;
      this.open.add(id);
    } else {
      this.open.delete(id);
      if (status === "cancelled") remember(this.cancelled, id, details?.reason, UNRECORDED);
    }
    return event;
  }

  /** Another gateway begins anew: what an item has in the end comes whole all the same. */
  ofWords(event) {
    if (this.beingWorded.get(event.item_id)) return null;
    remember(this.beingWorded, event.item_id, false, SEGMENTS);
    return event;
  }

  ofItem(event) {
    const item = event.item_id ?? event.item.id;
    // another gateway that hears the same audio again may understand something else: then that is news
    if (!this.isFirst(event.type === WORDED ? `${WORDED} ${event.transcript}` : event.type, item)) return null;
    if (event.type === "input_audio_buffer.speech_started") this.begun.set(item, event.audio_start_ms);
    return event;
  }

  ofAudio(event) {
    if (event.segment === undefined) return event;
    const name = `${event.item_id} ${event.segment}`;
    const position = event.position ?? 0;
    const known = this.received.get(name)?.samples ?? 0;
    const end = position + event.samples;
    if (end <= known) return null;
    remember(this.received, name, { item_id: event.item_id, segment: event.segment, samples: end }, SEGMENTS);
    return position < known ? { ...event, skip: known - position } : event;
  }

  /** It isn't said again. */
  refused(name) {
    this.written.delete(name);
    if (this.respond === name) this.respond = null;
  }

  /** Utterances that began before are on record, or nothing. */
  settle(audioEndMs) {
    for (const [item, startMs] of this.begun) if (startMs < audioEndMs) this.begun.delete(item);
  }

  isFirst(kind, name) {
    const known = `${kind} ${name}`;
    if (this.seen.has(known)) return false;
    this.seen.add(known);
    if (this.seen.size > REMEMBERED) this.seen.delete(this.seen.values().next().value);
    return true;
  }

  /** The first event to the next gateway. extent: the tape's. attempt: how many were asked before it. */
  resume(extent, attempt) {
    const written = [...this.written.values()];
    for (const item of this.beingWorded.keys()) this.beingWorded.set(item, true);
    return {
      type: "trunkline.resume",
      ...extent,
      attempt,
      received: [...this.received.values()],
      begun: [...this.begun].map(([item_id, start_ms]) => ({ item_id, start_ms })),
      typed: written.filter(({ item }) => item.type === "message").map(({ item, event_id }) => ({ item_id: item.id, text: textOf(item), event_id, ...shownBy(item) })),
      outputs: written
        .filter(({ item }) => item.type === "function_call_output")
        .map(({ item, event_id }) => ({ item_id: item.id, call_id: item.call_id, output: item.output, event_id })),
      cancelled: [...this.cancelled].map(([response_id, reason]) => ({
        response_id,
        reason: reason === "turn_detected" ? "turn_detected" : "client_cancelled",
      })),
      responses: [...this.open],
      ...(this.respond ? { respond: "", respond_id: this.respond } : {}),
    };
  }
}

const shownBy = ({ content }) => (content.some((part) => part.type === "input_image") ? { content } : {});
const textOf = (item) => item.content.map((part) => part.text ?? "").join("");

function remember(known, key, value, limit) {
  known.delete(key);
  known.set(key, value);
  if (known.size > limit) known.delete(known.keys().next().value);
}
