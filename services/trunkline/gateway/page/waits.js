// How long the caller waited, and for which stage. Pure.

/** Per answered turn, in ms since the caller was done: the first sound or word, and the first of either phase. */
export function latencies(view) {
  const answered = Object.entries(view.responses).filter(([, response]) => response.askedMs !== null);
  return answered.map(([id, { askedMs, soundMs }]) => {
    const said = view.entries.filter((entry) => entry.response === id && entry.kind === "agent" && entry.beganMs !== null);
    const since = (entry) => (entry ? entry.beganMs - askedMs : null);
    return {
      response: id,
      firstMs: soundMs === null ? since(said[0]) : soundMs - askedMs,
      commentaryMs: since(said.find((entry) => entry.phase === "commentary")),
      answerMs: since(said.find((entry) => entry.phase !== "commentary")),
    };
  });
}

/** Of one entry, in ms since the caller was done; null where it answers no turn or hasn't begun. */
export function waitMs(view, entry) {
  const asked = view.responses[entry.response]?.askedMs ?? null;
  return asked === null || entry.beganMs == null ? null : entry.beganMs - asked;
}

/**
 * Per answered turn, in order: {response, parts, firstMs, noteMs, answerMs}. parts: {stage, ms} that add up to firstMs,
 * the wait for the first sound. `hear`: until the gateway had the turn, silence by which its end is known included;
 * `agent` and `tool`, by the record: until the first words were there; `voice`: what remains until they sound, speech and
 * network. Without a record these three are one, `reply`. noteMs: from the first sound to the answer.
 */
export function stages(view) {
  return latencies(view)
    .filter((turn) => turn.firstMs !== null)
    .map(({ response, firstMs, answerMs }) => {
      const { askedMs, takenMs } = view.responses[response];
      const hearMs = Math.min(takenMs - askedMs, firstMs);
      const parts = [{ stage: "hear", ms: hearMs }, ...replyParts(view.times[response], firstMs - hearMs)];
      const noteMs = answerMs === null ? 0 : Math.max(0, answerMs - firstMs);
      return { response, parts, firstMs, noteMs, answerMs };
    });
}

/** They add up to leftMs, as the caller's clock has it. */
function replyParts(times, leftMs) {
  if (!times) return [{ stage: "reply", ms: leftMs }];
  const agentMs = Math.min(times.agentMs, leftMs);
  const toolMs = Math.min(times.toolMs, leftMs - agentMs);
  return [
    { stage: "agent", ms: agentMs },
    { stage: "tool", ms: toolMs },
    { stage: "voice", ms: leftMs - agentMs - toolMs },
  ];
}

export const seconds = (ms) => `${(Math.max(0, ms) / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`;
