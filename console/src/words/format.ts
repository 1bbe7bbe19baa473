// Numbers, durations and instants as the user's language and time zone have them.
import { language, t } from "./index";

const cache = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>();

function dates(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const name = language.value + JSON.stringify(options);
  let found = cache.get(name) as Intl.DateTimeFormat | undefined;
  // English dates by day and month, not the American way round; seconds of 24 hours.
  if (!found) cache.set(name, (found = new Intl.DateTimeFormat(language.value === "en" ? "en-GB" : language.value, options)));
  return found;
}

export function number(value: number, digits = 0): string {
  const name = `${language.value}n${digits}`;
  let found = cache.get(name) as Intl.NumberFormat | undefined;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  if (!found) cache.set(name, (found = new Intl.NumberFormat(language.value, options)));
  return found.format(value);
}

export const percent = (value: number | null, digits = 0): string => (value === null ? "–" : `${number(value, digits)} %`);

/** 41 s, 1:23, 2:05:09, 3 d 4 h: short, and of the same width from second to second. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes, rest] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (days) return `${days} d ${hours} h`;
  const two = (value: number): string => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** 41 s, 4 min 10 s, 3 h 5 min: for sentences. */
export function spoken(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 100) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  if (whole < 172_800) return `${Math.floor(whole / 3600)} h${whole % 3600 >= 60 ? ` ${Math.floor((whole % 3600) / 60)} min` : ""}`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** The hour of today, or the day with it: 14:02:07, Fri 28 Nov 14:02. */
export function instant(iso: string | number, precise = false): string {
  const date = new Date(iso);
  const today = new Date().toDateString() === date.toDateString();
  if (today) return dates({ hour: "2-digit", minute: "2-digit", ...(precise ? { second: "2-digit" } : {}), hour12: false }).format(date);
  const sameYear = new Date().getFullYear() === date.getFullYear();
  return dates({ weekday: "short", day: "numeric", month: "short", ...(sameYear ? {} : { year: "numeric" }), hour: "2-digit", minute: "2-digit", hour12: false }).format(date);
}

/** All of it, with the zone: what is shown on hover. */
export function absolute(iso: string | number, timeZone?: string): string {
  return dates({ dateStyle: "full", timeStyle: "long", hour12: false, ...(timeZone ? { timeZone } : {}) }).format(new Date(iso));
}

export function plotTime(seconds: number, day: boolean): string {
  const date = new Date(seconds * 1000);
  return dates(day ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", hour12: false }).format(date);
}

export const zone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

export function named(thing: { name?: string | null; external_id?: string | null; email?: string | null } | null | undefined): string {
  return thing?.name || thing?.external_id || thing?.email || t("unknown");
}
