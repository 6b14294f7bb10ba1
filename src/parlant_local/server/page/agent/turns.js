// Calls as turns and kinds. Pure.

const PAUSE = 10;  // seconds without a call of its session end a turn

/** The turns of a list of calls, the oldest first: calls of one session with no pause between them. */
export function turnsOf(calls) {
  const open = new Map();
  const found = [];
  const ordered = [...calls].sort((a, b) => a.time - a.seconds - (b.time - b.seconds));
  for (const call of ordered) {
    const began = call.time - call.seconds;
    let turn = open.get(call.session);
    if (!turn || began > turn.ended + PAUSE) {
      turn = { session: call.session, began, ended: call.time, calls: [] };
      open.set(call.session, turn);
      found.push(turn);
    }
    turn.calls.push(call);
    turn.ended = Math.max(turn.ended, call.time);
  }
  return found.sort((a, b) => a.began - b.began);
}

/** Totals of each kind of call, what takes longest first. */
export function summary(calls) {
  const kinds = new Map();
  for (const call of calls) {
    const kind = kinds.get(call.schema) ?? { schema: call.schema, count: 0, seconds: 0, prompt: 0, cached: 0, forced: 0, sampled: 0, retries: 0, failed: 0 };
    kinds.set(call.schema, kind);
    kind.count += 1;
    kind.seconds += call.seconds;
    kind.prompt += call.prompt_tokens;
    kind.cached += call.cached_tokens;
    kind.forced += call.forced_tokens;
    kind.sampled += call.sampled_tokens;
    kind.retries += call.retries;
    kind.failed += call.outcome === "failed" ? 1 : 0;
  }
  return [...kinds.values()].sort((a, b) => b.seconds - a.seconds);
}
