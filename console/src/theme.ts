// Light and dark: as the system has it, unless somebody chose. The choice is kept; it says nothing of the caller.
import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const KEPT = "ninety.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const theme = signal<Theme>((localStorage.getItem(KEPT) as Theme | null) ?? "system");
export const darkness = signal(false);

effect(() => {
  if (theme.value === "system") {
    delete document.documentElement.dataset["theme"];
    localStorage.removeItem(KEPT);
  } else {
    document.documentElement.dataset["theme"] = theme.value;
    localStorage.setItem(KEPT, theme.value);
  }
  darkness.value = theme.value === "system" ? system.matches : theme.value === "dark";
});
system.addEventListener("change", () => {
  if (theme.value === "system") darkness.value = system.matches;
});
