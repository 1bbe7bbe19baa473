// The public API as its user calls it: the caller's key, patience where the service asks for it, and refusals as one
// kind of error. Nothing else in the console sends a request.
import type { Client } from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];

/** Where the service is: before `/console/…`, wherever this script came from. */
export const BASE = import.meta.url.replace(/^https?:\/\/[^/]*/, "").replace(/\/console\/assets\/.*$/, "");

/** The service said no, or cannot be reached (status 0). */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem | null,
    readonly requestId: string | null,
    readonly etag: string | null = null,
  ) {
    super(problem?.detail ?? "");
  }

  get away(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

let key = "";
let signedOut: (why: Problem | null) => void = () => undefined;

export function useKey(value: string, onRefusal: (why: Problem | null) => void): void {
  key = value;
  signedOut = onRefusal;
}

const MOST_RETRIES = 4;
const pause = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));

/** Repeats what the service is too busy for, after the time that it names. A write is repeated with its own
 * Idempotency-Key, so that it happens once. */
async function patient(request: Request): Promise<Response> {
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(request.clone());
    const wait = Number(answer.headers.get("Retry-After"));
    const busy = answer.status === 429 || answer.status === 503;
    const repeatable = request.method === "GET" || request.headers.has("Idempotency-Key");
    if (!busy || !repeatable || tries === MOST_RETRIES || !(wait > 0 && wait <= 30)) return answer;
    await pause(wait + Math.random() * 0.3);
  }
}

interface Asked {
  params?: { path?: Record<string, string>; query?: Record<string, unknown>; header?: Record<string, string> };
  body?: unknown;
  headers?: Record<string, string>;
}

async function send(method: string, path: string, asked: Asked = {}): Promise<Answer<unknown>> {
  const { params, body } = asked;
  const url = new URL(BASE + path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params?.path?.[name] ?? "")), location.origin);
  for (const [name, value] of Object.entries(params?.query ?? {})) {
    for (const each of [value].flat()) if (each !== undefined && each !== null) url.searchParams.append(name, String(each));
  }
  const isFile = body instanceof Blob;
  const headers = { ...(body === undefined || isFile ? {} : { "Content-Type": "application/json" }), ...params?.header, ...asked.headers, Authorization: `Bearer ${key}` };
  const response = await patient(new Request(url, { method, headers, ...(body === undefined ? {} : { body: isFile ? body : JSON.stringify(body) }) }));
  const text = await response.text();
  // What answers without a body may name its type all the same.
  const answer: unknown = text && response.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : text;
  return response.ok ? { data: answer, response } : { error: answer, response };
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
const calling = (method: Method) => (path: string, asked?: Asked) => send(method, path, asked);

/** Typed by the paths of openapi.json. openapi-fetch gives the types alone: it would be a tenth of the first page. */
export const api = {
  GET: calling("GET"), POST: calling("POST"), PUT: calling("PUT"), PATCH: calling("PATCH"), DELETE: calling("DELETE"),
} as unknown as Pick<Client<paths>, Method>;

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What was answered. Throws Refused. */
export async function ok<T>(asked: Promise<Answer<T>>): Promise<T> {
  return (await whole(asked)).data;
}

/** What was answered, with its ETag. Throws Refused. */
export async function whole<T>(asked: Promise<Answer<T>>): Promise<{ data: T; etag: string | null }> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (gone) {
    if (gone instanceof TypeError) throw new Refused(0, null, null);
    throw gone;
  }
  const { data, error, response } = answer;
  if (response.ok) return { data: data as T, etag: response.headers.get("ETag") };
  const problem = isProblem(error) ? error : null;
  if (response.status === 401) signedOut(problem);
  throw new Refused(response.status, problem, response.headers.get("X-Request-ID"), response.headers.get("ETag"));
}

function isProblem(error: unknown): error is Problem {
  return typeof error === "object" && error !== null && "detail" in error && "code" in error;
}

/** A key under which a write happens once, however often it is sent. Not randomUUID: that asks for https. */
export function once(): { "Idempotency-Key": string } {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { "Idempotency-Key": Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}

/** A file of the service, with the caller's key; as text or bytes. Throws Refused. */
export async function download(path: string, accept = "*/*"): Promise<Blob> {
  const headers = { Authorization: `Bearer ${key}`, Accept: accept };
  const answer = await fetch(BASE + path, { headers }).catch(() => null);
  if (answer === null) throw new Refused(0, null, null);
  if (!answer.ok) throw new Refused(answer.status, null, answer.headers.get("X-Request-ID"));
  return answer.blob();
}

/** Hands a file to the user. */
export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
