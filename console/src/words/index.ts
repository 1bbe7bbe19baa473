// Words in the user's language. What is not loaded at the start is fetched when it is chosen.
import { signal } from "@preact/signals";
import { en, type Plural, type Words } from "./en";
import type { more } from "./en-more";

export const LANGUAGES = { en: "English", fi: "Suomi" } as const;
export type Language = keyof typeof LANGUAGES;

export const language = signal<Language>("en");
const words = signal<Partial<Words>>(en);
let english: Partial<Words> = en;

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
  return value ? (NAMES[language.value][value] ?? value.replaceAll("_", " ")) : "";
}

/** Adds the words of what is fetched later; the other languages come whole. */
export async function learnMore(): Promise<void> {
  const found: typeof more = (await import("./en-more")).more;
  english = { ...en, ...found };
  if (language.peek() === "en") words.value = english;
}

export async function speak(chosen: Language): Promise<void> {
  words.value = chosen === "fi" ? (await import("./fi")).fi : english;
  if (chosen === "fi") NAMES.fi = (await import("./fi")).names;
  language.value = chosen;
  document.documentElement.lang = chosen;
}

// Words of the API that do not read well as they are.
const NAMES: Record<Language, Record<string, string>> = {
  en: {
    too_little_known: "too few waits are known yet", not_the_first: "it is not the first answer that they wait for",
    op_eq: "is", op_ne: "is not", op_in: "is one of", op_not_in: "is none of", op_lt: "is under", op_lte: "is at most", op_gt: "is over", op_gte: "is at least", op_contains: "contains", op_starts_with: "begins with", op_exists: "is there:",
    auto_acknowledge: "say at once that a ticket came in", auto_close: "close what has been resolved for some days", self_service_first: "offer an article first",
  },
  fi: {},
};

export function preferred(): Language {
  const asked = localStorage.getItem("ninety.language") ?? navigator.language.slice(0, 2);
  return asked in LANGUAGES ? (asked as Language) : "en";
}
