// What has just been done, or could not be, said once and out of the way.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { Refused } from "../api/client";
import { t } from "../words/index";

const said = signal<{ text: string; bad: boolean } | null>(null);
let timer = 0;

export function say(text: string, bad = false): void {
  clearTimeout(timer);
  said.value = { text, bad };
  timer = window.setTimeout(() => (said.value = null), bad ? 8000 : 3500);
}

/** Runs what the user asked for; where the service refuses, says so and gives undefined. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    const detail = refused.problem?.detail ?? (refused.status ? `HTTP ${refused.status}` : t("unreachable"));
    say(refused.requestId ? `${detail} (${t("requestId", { id: refused.requestId })})` : detail, true);
    return undefined;
  }
}

export function Toast(): JSX.Element {
  return (
    <div class="toast-place" role="status">
      {said.value && <p class={`toast ${said.value.bad ? "toast-bad" : ""}`}>{said.value.bad ? "■" : "✓"} {said.value.text}</p>}
    </div>
  );
}
