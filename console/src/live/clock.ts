// The server's time: every countdown goes by it, whatever the machine's own clock says.
import { signal } from "@preact/signals";

let offset = 0;

/** Milliseconds by which the server is ahead of this machine. */
export const offsetOf = (): number => offset;

export function setOffset(milliseconds: number): void {
  offset = milliseconds;
  beat();
}

export const serverNow = (): number => Date.now() + offset;

/** The server's time at the last full second: what counts down reads this. */
export const now = signal(serverNow());

let timer = 0;

function beat(): void {
  clearTimeout(timer);
  const time = serverNow();
  now.value = time - (time % 1000);
  timer = window.setTimeout(beat, 1000 - (time % 1000) + 5);
}

beat();
