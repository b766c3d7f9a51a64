// The gateway's HTTP API, as far as the page needs it. Addresses are relative to the page, and a key goes nowhere else.

/** The gateway said no. status 0: it wasn't reached. retryAfterS: null where it named none. */
export class Refused extends Error {
  constructor(status, code, message, retryAfterS = null) {
    super(message);
    Object.assign(this, { status, code, retryAfterS });
  }
}

/** A key for one call, made from an API key. agent: its name, "" for the default. Raises Refused. */
export async function mintKey(key, agent, signal) {
  const body = JSON.stringify({ session: { type: "realtime", ...(agent ? { model: agent } : {}) } });
  const answer = await request("v1/realtime/client_secrets", key, { method: "POST", body, signal }, "application/json");
  return (await answer.json()).value;
}

/** Begins a call: {sdp, call}, the answer to the offer and the call's id. Raises Refused. */
export async function offerCall(key, agent, sdp, signal) {
  const query = agent ? `?${new URLSearchParams({ model: agent })}` : "";
  const answer = await request(`v1/realtime/calls${query}`, key, { method: "POST", body: sdp, signal }, "application/sdp");
  const call = (answer.headers.get("Location") ?? "").split("/").pop();
  return { sdp: await answer.text(), call };
}

/** Ends a call, even while the page goes away. Raises Refused, as it does for a key that opens calls only. */
export async function hangUp(key, call) {
  await request(`v1/realtime/calls/${encodeURIComponent(call)}/hangup`, key, { method: "POST", keepalive: true });
}

/** A call's record. Raises Refused: a key for one call doesn't open it. */
export async function readRecord(key, call) {
  const answer = await request(`v1/calls/${encodeURIComponent(call)}`, key, {});
  return answer.json();
}

/** Names of the models and agents that this installation has. Raises Refused. */
export async function listModels(key) {
  const answer = await request("v1/models", key, {});
  return (await answer.json()).data ?? [];
}

/** Keeps a picture: its id. Raises Refused. */
export async function keepPicture(key, blob, name) {
  const body = new FormData();
  body.append("purpose", "vision");
  body.append("file", blob, name);
  const answer = await request("v1/files", key, { method: "POST", body });
  return (await answer.json()).id;
}

async function request(path, key, options, type = null) {
  const headers = { Authorization: `Bearer ${key}`, ...(type ? { "Content-Type": type } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "unreachable", "The gateway can't be reached.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const after = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  const message = told.error?.message ?? `HTTP status ${answer.status}`;
  throw new Refused(answer.status, told.error?.code ?? "", message, Number.isNaN(after) ? null : after);
}
