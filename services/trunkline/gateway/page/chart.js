// The waits as bars, one per turn: each as long as the wait, in pieces by stage, with the figures beneath.

import { create } from "./render.js";
import { seconds, stages } from "./waits.js";

const NAMES = { hear: "hearing", agent: "agent", tool: "tools", voice: "voice", reply: "reply" };
let drawn = ""; // what the bars show

/** Newest turn first. */
export function showWaits(list, view) {
  const turns = stages(view);
  const wanted = JSON.stringify(turns);
  if (wanted === drawn) return;
  drawn = wanted;
  const longestMs = Math.max(1, ...turns.map((turn) => turn.firstMs + turn.noteMs));
  list.replaceChildren(...turns.map((turn, index) => showTurn(turn, index + 1, longestMs)).reverse());
  list.hidden = turns.length === 0;
}

function showTurn(turn, number, longestMs) {
  const bar = create("span", { className: "bar", ariaHidden: "true" });
  const pieces = [...turn.parts, { stage: "note", ms: turn.noteMs }].filter(({ ms }) => ms > 0);
  for (const { stage, ms } of pieces) {
    const piece = create("span", { className: "piece", dataset: { stage } });
    piece.style.width = `${(100 * ms) / longestMs}%`;
    bar.append(piece);
  }
  const head = create("span", { className: "turn" });
  head.append(create("span", {}, `Turn ${number}`), create("strong", {}, seconds(turn.firstMs)));
  const figures = turn.parts.filter(({ ms }) => ms >= 1).map(({ stage, ms }) => `${NAMES[stage]} ${Math.round(ms)} ms`);
  if (turn.noteMs > 0) figures.push(`answer at ${seconds(turn.answerMs)}`);
  const item = create("li");
  item.append(head, bar, create("span", { className: "figures" }, figures.join(" · ")));
  return item;
}
