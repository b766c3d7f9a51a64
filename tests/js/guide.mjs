/** The voice guide's program, as it stands there but for address and key; the tests add to it by `more` alone. */
import { RealtimeAgent, RealtimeSession } from "@openai/agents/realtime";

/**
 * connect: {apiKey, url}; without url the SDK calls its vendor. watch: sees the session before it connects.
 * more: {agent, session}: further settings of each.
 */
export async function call({ apiKey, url }, watch, more = {}) {
  const agent = new RealtimeAgent({
    name: "Assistant",
    instructions: "You are a helpful assistant.",
    ...more.agent,
  });
  const session = new RealtimeSession(agent, {
    model: "gpt-realtime-2",
    ...more.session,
  });
  const seen = watch(session);
  await session.connect(url ? { apiKey, url } : { apiKey });
  return seen;
}
