// Addresses: /console/<page>[/<id>]?<filters>. What is shown is in the address, so that it can be kept and sent.
import { signal } from "@preact/signals";
import { BASE } from "./api/client";

export interface Route {
  page: string;
  id: string | null;
  params: URLSearchParams;
}

const ROOT = `${BASE}/console`;

function read(): Route {
  const [page = "", id = null] = location.pathname.slice(ROOT.length).split("/").filter(Boolean);
  return { page: page || "board", id: id === null ? null : decodeURIComponent(id), params: new URLSearchParams(location.search) };
}

export const route = signal<Route>(read());

export function href(page: string, id?: string | null, params?: Record<string, string | undefined>): string {
  const query = new URLSearchParams(Object.entries(params ?? {}).filter((pair): pair is [string, string] => Boolean(pair[1])));
  const path = page === "board" ? "" : `/${page}`;
  return `${ROOT}${path}${id ? `/${encodeURIComponent(id)}` : ""}${query.size ? `?${query}` : ""}`;
}

export function go(to: string, replace = false): void {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  const before = route.value;
  route.value = read();
  if (before.page !== route.value.page || before.id !== route.value.id) window.scrollTo(0, 0);
}

/** Changes filters in place; an empty one goes. */
export function setParams(changes: Record<string, string | null>): void {
  const params = new URLSearchParams(route.value.params);
  for (const [name, value] of Object.entries(changes)) {
    if (value) params.set(name, value);
    else params.delete(name);
  }
  go(`${location.pathname}${params.size ? `?${params}` : ""}`, true);
}

window.addEventListener("popstate", () => {
  route.value = read();
});

// Links within the console stay in it; all others are the browser's.
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest<HTMLAnchorElement>("a[href]");
  if (!link || link.target || link.download || link.origin !== location.origin) return;
  if (link.pathname !== ROOT && !link.pathname.startsWith(`${ROOT}/`)) return;
  event.preventDefault();
  go(link.pathname + link.search);
});
