// Single keys that act: never in a field, never while a dialog is open, and not at all where somebody switched them off.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

export type Keys = Record<string, () => void>;

const KEPT = "ninety.keys";
const layers: Keys[] = [];
let prefix = "";
let prefixTimer = 0;

export const singleKeys = signal(localStorage.getItem(KEPT) !== "off");

export function switchKeys(on: boolean): void {
  singleKeys.value = on;
  if (on) localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, "off");
}

/** While the component is shown; the latest one that knows a key has it. Keys are `j`, `g b`, `Escape`, `Ctrl+k`. */
export function useKeys(keys: Keys): void {
  useEffect(() => {
    layers.push(keys);
    return () => {
      layers.splice(layers.indexOf(keys), 1);
    };
  });
}

function act(name: string): boolean {
  const found = layers.findLast((keys) => keys[name]);
  found?.[name]?.();
  return found !== undefined;
}

function inField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.matches("input:not([type=checkbox]), textarea, select") || target.isContentEditable);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.metaKey || event.isComposing) return;
  if (event.ctrlKey) {
    if (act(`Ctrl+${event.key}`)) event.preventDefault();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (inField(event.target)) (event.target as HTMLElement).blur();
    else act("Escape");
    return;
  }
  if (inField(event.target) || !singleKeys.value || event.key.length !== 1) return;
  const name = prefix ? `${prefix} ${event.key}` : event.key;
  clearTimeout(prefixTimer);
  prefix = "";
  if (name === "g") {
    prefix = "g";
    prefixTimer = window.setTimeout(() => (prefix = ""), 1200);
    return;
  }
  if (act(name)) event.preventDefault();
});

/** Moves the focus among the rows of tickets. */
export function moveRow(by: number): void {
  const links = [...document.querySelectorAll<HTMLElement>("tr[data-ticket] .row-link")];
  const at = links.findIndex((link) => link.closest("tr")?.contains(document.activeElement));
  const next = links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.closest("tr")?.scrollIntoView({ block: "nearest" });
}

/** The ticket of the row that has the focus. */
export function focusedTicket(): string | null {
  return document.activeElement?.closest<HTMLElement>("tr[data-ticket]")?.dataset["ticket"] ?? null;
}
