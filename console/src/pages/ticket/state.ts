// One ticket as it is now: read again whenever something happens to it, with what the composer must not lose.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { api, ok, once, Refused, whole } from "../../api/client";
import type { Schemas } from "../../api/client";
import type { Customer, Message, Ticket } from "../../api/wire";
import type { Patch } from "../../actions";
import { type Reading, useReading } from "../../live/reading";
import { say } from "../../ui/toast";
import { t } from "../../words/index";

export type Whole = Schemas["TicketWithOut"];

export interface Desk {
  id: string;
  reading: Reading<Whole>;
  /** What somebody else changed under an action that was refused for it. */
  conflict: Signal<Conflict | null>;
  change: (patch: Patch) => Promise<boolean>;
}

export interface Conflict {
  patch: Patch;
  fields: { name: string; before: unknown; after: unknown }[];
  messages: Message[];
}

export function useDesk(id: string): Desk {
  const reading = useReading<Whole>(
    id,
    async () => {
      const path = { ticket_id: id };
      return ok(api.GET("/v1/tickets/{ticket_id}", { params: { path, query: { include: ["clocks", "messages", "customer"] } } }));
    },
    (event) => event.ticketid === id,
    200,
  );
  const conflict = useMemo(() => signal<Conflict | null>(null), [id]);
  useEffect(() => () => void (conflict.value = null), [id]);
  const change = async (patch: Patch): Promise<boolean> => {
    const seen = reading.data.peek();
    if (!seen) return false;
    try {
      const params = { path: { ticket_id: id }, header: { "If-Match": etag(seen) } };
      await ok(api.PATCH("/v1/tickets/{ticket_id}", { params, body: patch }));
      conflict.value = null;
      await reading.reload();
      return true;
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      if (refused.status === 412) {
        await reading.reload();
        conflict.value = { patch, ...difference(seen, reading.data.peek() ?? seen) };
      } else say(refused.problem?.detail ?? t("unreachable"), true);
      return false;
    }
  };
  return { id, reading, conflict, change };
}

export const etag = (ticket: { version: number }): string => `"${ticket.version}"`;

const SHOWN = ["status", "priority", "type", "channel", "subject", "assignee_id", "team_id", "product", "tags", "segment"] as const;

/** What is not as it was: fields, and messages that have come. */
export function difference(before: Whole, after: Whole): Omit<Conflict, "patch"> {
  const fields = SHOWN.filter((name) => String(before[name]) !== String(after[name])).map((name) => ({ name, before: before[name], after: after[name] }));
  const known = new Set(before.messages?.map((message) => message.id));
  return { fields, messages: (after.messages ?? []).filter((message) => !known.has(message.id)) };
}

export interface Draft {
  body: string;
  internal: boolean;
  then: string;
  /** The key under which it is sent: once, however often somebody clicks. */
  key: string;
  /** The last message that was there when it was begun. */
  seen: string | null;
}

const place = (id: string): string => `ninety.draft.${id}`;

export function loadDraft(id: string): Draft {
  const kept = sessionStorage.getItem(place(id));
  return kept ? (JSON.parse(kept) as Draft) : { body: "", internal: false, then: "", key: once()["Idempotency-Key"], seen: null };
}

export function keepDraft(id: string, draft: Draft): void {
  if (draft.body) sessionStorage.setItem(place(id), JSON.stringify(draft));
  else sessionStorage.removeItem(place(id));
}

/** Sends a message. Throws Refused; a 412 says that the ticket has changed since `version`. */
export async function sendMessage(ticket: Ticket | Whole, draft: Draft, attachments: string[]): Promise<Message> {
  const body: Schemas["MessageIn"] = { body: draft.body, visibility: draft.internal ? "internal" : "public", attachment_ids: attachments };
  if (draft.then) body.status = draft.then as Schemas["Status"];
  const params = { path: { ticket_id: ticket.id }, header: { "Idempotency-Key": draft.key } };
  const headers = draft.internal ? {} : { "If-Match": etag(ticket) };
  return (await whole(api.POST("/v1/tickets/{ticket_id}/messages", { params, body, headers }))).data;
}

export const customerOf = (ticket: Whole): Customer | null => ticket.customer ?? null;
