// Words in the user's language. What is not loaded at the start is fetched when it is chosen.
import { signal } from "@preact/signals";
import { en, type Plural, type Words } from "./en";

export const LANGUAGES = { en: "English", fi: "Suomi" } as const;
export type Language = keyof typeof LANGUAGES;

export const language = signal<Language>("en");
type Names = Record<string, string>;
const words = signal<Partial<Words>>(en);
const names = signal<Names>({});
let english: [Partial<Words>, Names] = [en, {}];

type Values = Record<string, string | number>;

/** The words for a key; `{name}` is filled in, and what counts goes by `n`. */
export function t(key: keyof Words, values: Values = {}): string {
  const found: string | Plural = words.value[key] ?? key;
  const text = typeof found === "string" ? found : found[plural(Number(values.n))];
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

function plural(n: number): "one" | "other" {
  return new Intl.PluralRules(language.value).select(n) === "one" ? "one" : "other";
}

/** A word of the API (a status, a priority, …) as people say it. */
export function word(value: string | null | undefined): string {
  return value ? (names.value[value] ?? value.replaceAll("_", " ")) : "";
}

/** Adds the words of what is fetched later; the other languages come whole. */
export async function learnMore(): Promise<void> {
  const found = await import("./en-more");
  english = [{ ...en, ...found.more }, found.names];
  if (language.peek() === "en") [words.value, names.value] = english;
}

export async function speak(chosen: Language): Promise<void> {
  const finnish = chosen === "fi" ? await import("./fi") : null;
  [words.value, names.value] = finnish ? [finnish.fi, finnish.names] : english;
  language.value = chosen;
  document.documentElement.lang = chosen;
}

export function preferred(): Language {
  const asked = localStorage.getItem("ninety.language") ?? navigator.language.slice(0, 2);
  return asked in LANGUAGES ? (asked as Language) : "en";
}
