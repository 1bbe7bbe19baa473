// One stream for all tabs of a caller: the tab that holds the lock listens, and tells the others over a channel. A
// browser opens six connections to a server at most, so the seventh tab would wait for ever. Without locks (a page
// without https) each tab has a stream of its own.
import { batch, signal } from "@preact/signals";
import { api, BASE, ok, once, Refused } from "../api/client";
import type { StreamEvent } from "../api/wire";
import { onSignOut, sharedName } from "../session";
import { offsetOf, serverNow, setOffset } from "./clock";

/** Who is writing an answer, and until when that holds. */
export interface Hint {
  ticket_id: string;
  agent_id: string | null;
  until: string;
}

type Told =
  | { kind: "events"; events: StreamEvent[] }
  | { kind: "live"; offset: number }
  | { kind: "away"; since: number }
  | { kind: "hint"; hint: Hint }
  | { kind: "who" };

const FIRST_SECONDS = 0.5;
const MOST_SECONDS = 15;
/** After a goodbye another replica takes over: only where none does for so long, the page is said not to be live. */
const GOODBYE_SECONDS = 2;

/** Whether what is shown is what is; `since` is the last instant at which it was, by the server's time. */
export const live = signal<{ on: boolean; since: number | null }>({ on: false, since: null });
/** Counts the connections: whoever shows something reads it anew whenever this changes. */
export const connections = signal(0);
/** True once the first try has failed: what can be read is shown meanwhile. */
export const tried = signal(false);

/** The last hint that came. */
export const hint = signal<Hint | null>(null);

type Listener = (events: StreamEvent[]) => void;
const listeners = new Set<Listener>();

/** Called with each batch of events until the function returned is called. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

let stop: (() => void) | null = null;

export function start(): void {
  stop?.();
  const ended = new AbortController();
  const channel = sharedName() && "locks" in navigator ? new BroadcastChannel(sharedName()) : null;
  const tell = (told: Told): void => {
    channel?.postMessage(told);
    hear(told);
  };
  stop = () => {
    ended.abort();
    channel?.close();
    stop = null;
    live.value = { on: false, since: null };
  };
  if (!channel) {
    void lead(tell, ended.signal);
    return;
  }
  let leading = false;
  channel.onmessage = ({ data }: MessageEvent<Told>) => {
    if (data.kind !== "who") hear(data);
    else if (leading && live.value.on) channel.postMessage({ kind: "live", offset: offsetOf() } satisfies Told);
    else if (leading && tried.value) channel.postMessage({ kind: "away", since: live.value.since ?? 0 } satisfies Told);
  };
  channel.postMessage({ kind: "who" } satisfies Told);
  const held = navigator.locks.request(sharedName(), { signal: ended.signal }, () => {
    leading = true;
    return lead(tell, ended.signal);
  });
  // The lock is not waited for any more once the tab has signed out.
  held.catch((error: unknown) => {
    if (!ended.signal.aborted) throw error;
  });
}

onSignOut(() => stop?.());

function hear(told: Told): void {
  batch(() => {
    if (told.kind === "events") {
      for (const listener of listeners) listener(told.events);
    } else if (told.kind === "hint") {
      hint.value = told.hint;
    } else if (told.kind === "live") {
      setOffset(told.offset);
      tried.value = true;
      live.value = { on: true, since: null };
      connections.value += 1;
    } else if (told.kind === "away") {
      tried.value = true;
      if (live.value.on || live.value.since === null) live.value = { on: false, since: told.since || null };
    }
  });
}

/** Keeps a stream open until the signal ends it. */
async function lead(tell: (told: Told) => void, ended: AbortSignal): Promise<void> {
  let seconds = FIRST_SECONDS;
  let wasLive = 0;
  let warning = 0;
  const away = (): void => tell({ kind: "away", since: wasLive });
  ended.addEventListener("abort", () => clearTimeout(warning));
  while (!ended.aborted) {
    let bye = false;
    try {
      const { ticket } = await ok(api.POST("/v1/stream-tickets", { params: { header: once() } }));
      bye = await follow(ticket, tell, ended, () => {
        clearTimeout(warning);
        seconds = FIRST_SECONDS;
        wasLive = -1;
      });
    } catch (failed) {
      if (!(failed instanceof Refused)) throw failed;
      if (failed.status === 401 || failed.status === 403) return;
    }
    if (ended.aborted) return;
    if (wasLive === -1) wasLive = serverNow();
    if (bye) warning = window.setTimeout(away, GOODBYE_SECONDS * 1000);
    else away();
    await rest((bye ? 0.2 : seconds) * (0.75 + Math.random() / 2), ended);
    seconds = Math.min(seconds * 2, MOST_SECONDS);
  }
}

/** Listens to one stream until it ends; whether it said goodbye. */
function follow(ticket: string, tell: (told: Told) => void, ended: AbortSignal, onLive: () => void): Promise<boolean> {
  const source = new EventSource(`${BASE}/v1/events/stream?ticket=${encodeURIComponent(ticket)}`);
  let waiting: StreamEvent[] = [];
  let timer = 0;
  const flush = (): void => {
    timer = 0;
    const events = waiting;
    waiting = [];
    if (events.length) tell({ kind: "events", events });
  };
  return new Promise((done) => {
    const end = (bye: boolean) => (): void => {
      source.close();
      clearTimeout(timer);
      flush();
      window.removeEventListener("offline", lost);
      done(bye);
    };
    const lost = end(false);
    source.addEventListener("hello", ({ data }: MessageEvent<string>) => {
      const { time } = JSON.parse(data) as { time: string };
      onLive();
      tell({ kind: "live", offset: Date.parse(time) - Date.now() });
    });
    source.addEventListener("ticket.being_answered", ({ data }: MessageEvent<string>) => tell({ kind: "hint", hint: JSON.parse(data) as Hint }));
    source.addEventListener("bye", end(true));
    source.onerror = lost;
    source.onmessage = ({ data }: MessageEvent<string>) => {
      waiting.push(JSON.parse(data) as StreamEvent);
      timer ||= window.setTimeout(flush, 20);
    };
    window.addEventListener("offline", lost);
    ended.addEventListener("abort", lost);
  });
}

function rest(seconds: number, ended: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, seconds * 1000);
    ended.addEventListener("abort", () => (clearTimeout(timer), done()));
  });
}
