import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import createFetchClient from "openapi-fetch";
import createClient from "openapi-react-query";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import type { components, paths } from "./api/schema";
import { tour, type Answer } from "./tour";

type Problem = components["schemas"]["Problem"];

void tour("openapi-react-query", (baseUrl, key) => {
  let last: Response | undefined;
  const fetchClient = createFetchClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
  // It hands on the data alone: headers are seen here.
  fetchClient.use({ onResponse: ({ response }) => { last = response; } });
  const $api = createClient(fetchClient);
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });

  async function told<T, U>(asked: () => Promise<T>, of: (data: T) => U): Promise<Answer<U>> {
    const answer = () => ({ status: last?.status ?? 0, header: (name: string) => last?.headers.get(name) ?? null });
    try {
      const data = await asked();
      return { ...answer(), data: of(data) };
    } catch (problem) {
      return { ...answer(), problem: problem as Problem };
    }
  }
  // Hooks live in a component, and what they return is used outside of it.
  function within<T>(hook: () => T): T {
    let found: T | undefined;
    const Probe = () => ((found = hook()), null);
    renderToString(createElement(QueryClientProvider, { client: queries }, createElement(Probe)));
    return found as T;
  }
  const opening = within(() => $api.useMutation("post", "/v1/tickets"));
  const answering = within(() => $api.useMutation("post", "/v1/tickets/{ticket_id}/messages"));
  const changing = within(() => $api.useMutation("patch", "/v1/tickets/{ticket_id}"));
  return {
    open: (body, key) =>
      told(() => opening.mutateAsync({ body, params: { header: key ? { "Idempotency-Key": key } : {} } }), (data) => data),
    answer: (ticket_id, body) =>
      told(() => answering.mutateAsync({ params: { path: { ticket_id } }, body: { body } }), (data) => ({ ticket: data.ticket_id })),
    list: (limit, tag, cursor) =>
      told(
        () => queries.fetchQuery($api.queryOptions("get", "/v1/tickets", { params: { query: { limit, tag, cursor } } })),
        (data) => ({ items: data.items, next: data.next_cursor }),
      ),
    read: (ticket_id) =>
      told(() => queries.fetchQuery($api.queryOptions("get", "/v1/tickets/{ticket_id}", { params: { path: { ticket_id } } })), (data) => data),
    resolve: (ticket_id, etag) =>
      told(
        () => changing.mutateAsync({ params: { path: { ticket_id }, header: { "If-Match": etag } }, body: { status: "resolved" } }),
        (data) => data,
      ),
  };
});
