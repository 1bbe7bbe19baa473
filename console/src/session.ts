// Who is signed in. The key is kept for this tab alone, and only once it was checked; no address, log or lasting store
// ever holds it. Signing out reaches every tab of the same caller.
import { signal } from "@preact/signals";
import { api, ok, type Problem, Refused, useKey } from "./api/client";
import type { Me } from "./api/wire";

const KEPT = "ninety.key";

export const me = signal<Me | null>(null);
export const checking = signal(true);
export const refusal = signal<string | null>(null);

type Ending = () => void;
let channel: BroadcastChannel | null = null;
const endings: Ending[] = [];

/** Called when this tab signs out. */
export function onSignOut(ending: Ending): void {
  endings.push(ending);
}

export function can(scope: string): boolean {
  return me.value?.scopes.includes(scope as never) ?? false;
}

/** A name for all that tabs of one caller share; tells nothing of the key. */
export async function callerName(key: string): Promise<string> {
  const bytes = new TextEncoder().encode(key);
  // Without https there is no digest, and nothing that is shared either: the tab is then alone.
  if (!globalThis.crypto?.subtle) return "";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `ninety-${Array.from(digest.slice(0, 12), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

let name = "";
export const sharedName = (): string => name;

const whoIs = (): Promise<Me> => ok(api.GET("/v1/me"));

/** Raises Refused where the service does not take the key; then nothing is kept. */
export async function signIn(key: string): Promise<void> {
  useKey(key, () => undefined);
  const who = await whoIs();
  sessionStorage.setItem(KEPT, key);
  await begin(key, who);
}

/** With the key that this tab has kept, if it has. */
export async function resume(): Promise<void> {
  const key = sessionStorage.getItem(KEPT);
  if (key) {
    useKey(key, forget);
    try {
      await begin(key, await whoIs());
    } catch (refused) {
      // Away is not refused: the key stays, and the page says that it waits.
      if (refused instanceof Refused && refused.away) {
        refusal.value = "away";
        setTimeout(() => void resume(), 2000);
        return;
      }
    }
  }
  checking.value = false;
}

async function begin(key: string, who: Me): Promise<void> {
  useKey(key, forget);
  name = await callerName(key);
  if (name) {
    channel = new BroadcastChannel(`${name}-session`);
    channel.onmessage = () => end(null);
  }
  refusal.value = null;
  me.value = who;
}

export function signOut(): void {
  channel?.postMessage("signed out");
  end(null);
}

function forget(why: Problem | null): void {
  channel?.postMessage("signed out");
  end(why?.detail ?? "");
}

function end(why: string | null): void {
  sessionStorage.clear();
  useKey("", () => undefined);
  channel?.close();
  channel = null;
  for (const ending of endings) ending();
  refusal.value = why;
  me.value = null;
  checking.value = false;
}
