// Talks to the server: questions, commands, and the live stream.

const SILENT_AFTER_MS = 10_000;
const RECONNECT_MS = [500, 1_000, 2_000, 4_000, 8_000];

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
  }
}

export async function ask(path) {
  return answerOf(await fetch(path, { headers: { Accept: "application/json" } }));
}

export async function command(path, body) {
  const headers = { "X-Jetpost-Command": "1" };
  if (body) headers["Content-Type"] = "application/json";
  return answerOf(await fetch(path, { method: "POST", headers, body: body && JSON.stringify(body) }));
}

async function answerOf(response) {
  if (response.ok) return response.status === 204 ? null : response.json();
  throw new Refused(response.status, await response.json().catch(() => ({})));
}

/**
 * Follow /api/stream. Calls `snapshot(data)` for each message, `state("connecting" | "live" | "lost")` as the connection
 * changes, and `refused(error)` where the server says that there is nothing to follow. Comes back by itself; rests while
 * nobody can see the page. Returns a function that stops it.
 */
export function follow(campaign, { snapshot, state, refused }) {
  const url = `/api/stream${campaign ? `?campaign=${encodeURIComponent(campaign)}` : ""}`;
  let source = null;
  let failures = 0;
  let timer = 0;
  let silence = 0;
  let stopped = false;

  const open = () => {
    if (stopped || document.hidden) return;
    clearTimeout(timer);
    source = new EventSource(url);
    source.onmessage = (message) => {
      failures = 0;
      heard();
      snapshot(JSON.parse(message.data));
    };
    source.onerror = () => lost();
  };
  const heard = () => {
    state("live");
    clearTimeout(silence);
    silence = setTimeout(lost, SILENT_AFTER_MS);
  };
  const close = () => {
    clearTimeout(timer);
    clearTimeout(silence);
    source?.close();
    source = null;
  };
  const lost = () => {
    close();
    state(failures ? "lost" : "connecting");
    timer = setTimeout(retry, RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)]);
    failures += 1;
  };
  const retry = async () => {
    // EventSource hides the reason of a refusal: ask for it.
    try {
      await ask(campaign ? `/api/campaigns/${encodeURIComponent(campaign)}` : "/api/campaigns");
    } catch (error) {
      if (stopped) return;
      if (error instanceof Refused && error.status < 500) refused(error);
      else lost();
      return;
    }
    open();
  };
  const visibility = () => {
    if (document.hidden) close();
    else if (!source) open();
  };

  document.addEventListener("visibilitychange", visibility);
  state("connecting");
  open();
  return () => {
    stopped = true;
    document.removeEventListener("visibilitychange", visibility);
    close();
  };
}
