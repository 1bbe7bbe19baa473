// The next answer or note. A draft survives whatever happens: a refusal, a reload, a lost connection.
import { type Signal, useComputed, useSignal } from "@preact/signals";
import type { JSX, RefObject } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { once, Refused } from "../../api/client";
import type { Message } from "../../api/wire";
import { agentName } from "../../live/people";
import { useKeys } from "../../keys";
import { can, me } from "../../session";
import { Choice } from "../../ui/parts";
import { say } from "../../ui/toast";
import { instant } from "../../words/format";
import { t, word } from "../../words/index";
import { type Desk, difference, type Draft, keepDraft, loadDraft, sendMessage, type Whole } from "./state";
import { Upload, useUploads } from "./files";
import { announce, Writing } from "./writing";

const THEN = ["open", "pending", "on_hold", "resolved"] as const;

export function Composer(props: { desk: Desk; ticket: Whole; field: RefObject<HTMLTextAreaElement | null>; internal: Signal<boolean> }): JSX.Element | null {
  const { desk, ticket, field, internal } = props;
  const kept = useMemo(() => loadDraft(ticket.id), [ticket.id]);
  const draft = useSignal<Draft>(kept);
  const busy = useSignal(false);
  const confirmed = useSignal<string | null>(null);
  const uploads = useUploads(ticket.id);
  useEffect(() => {
    if (kept.body) internal.value = kept.internal;
  }, [kept]);
  const last = ticket.messages?.at(-1)?.id ?? null;
  const set = (changes: Partial<Draft>): void => {
    const begun = draft.value.body ? {} : { seen: last };
    draft.value = { ...draft.value, ...begun, ...changes };
    keepDraft(ticket.id, { ...draft.value, internal: internal.value });
    if (changes.body && !internal.value) void announce(ticket.id);
  };
  const came = cameSince(ticket, draft.value);
  const asks = came.length > 0 && !internal.value && confirmed.value !== last;
  const send = async (): Promise<void> => {
    if (busy.value || !draft.value.body.trim()) return;
    if (asks) {
      confirmed.value = last;
      return;
    }
    busy.value = true;
    try {
      await sendMessage(ticket, { ...draft.value, internal: internal.value }, uploads.ids());
      keepDraft(ticket.id, { ...draft.value, body: "" });
      draft.value = { body: "", internal: false, then: "", key: once()["Idempotency-Key"], seen: null };
      uploads.clear();
      internal.value = false;
      confirmed.value = null;
      await desk.reading.reload();
      say(t("sent"));
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      if (refused.status === 412) {
        const before = ticket;
        await desk.reading.reload();
        desk.conflict.value = { patch: {}, ...difference(before, desk.reading.data.peek() ?? before) };
        // What is refused was not sent under its key; the next try is another request.
        draft.value = { ...draft.value, key: once()["Idempotency-Key"] };
      } else say(`${refused.problem?.detail ?? t("unreachable")} ${t("draftKept")}`, true);
    } finally {
      busy.value = false;
    }
  };
  useKeys({ "Ctrl+Enter": () => void send() });
  const promise = useComputed(() => promised(desk.reading.data.value));
  if (!can("tickets:write")) return null;
  return (
    <form class={`composer ${internal.value ? "internal" : ""}`} onSubmit={(event) => { event.preventDefault(); void send(); }}>
      <div class="composer-tabs" role="group" aria-label={t("kind")}>
        <button type="button" class="quiet" aria-pressed={!internal.value} onClick={() => (internal.value = false)}>{t("reply")} <kbd>r</kbd></button>
        <button type="button" class="quiet" aria-pressed={internal.value} onClick={() => (internal.value = true)}>✎ {t("note")} <kbd>n</kbd></button>
        <span class="muted small push">{internal.value ? t("noteHint") : promise.value}</span>
      </div>
      {came.length > 0 && !internal.value && (
        <div class="notice" role="alert">
          <p><strong>▲ {t("answeredMeanwhile")}</strong></p>
          {came.map((message) => <p key={message.id}><strong>{whose(message, ticket)}:</strong> <q dir="auto">{message.body}</q></p>)}
          {asks ? <p>{t("sendAsks")}</p> : null}
        </div>
      )}
      <Writing id={ticket.id} />
      <label>
        <span class="hidden">{internal.value ? t("note") : t("reply")}</span>
        <textarea ref={field} rows={4} dir="auto" value={draft.value.body} placeholder={internal.value ? t("notePlace") : t("replyPlace")} onInput={(event) => set({ body: event.currentTarget.value })} />
      </label>
      <div class="composer-foot">
        <Choice label={t("then")} value={draft.value.then} options={[["", t("asIs")], ...THEN.filter((each) => each !== ticket.status).map((each) => [each, word(each)] as const)]} onChoose={(value) => set({ then: value })} />
        <Upload uploads={uploads} internal={internal.value} />
        <button type="submit" class="primary push" disabled={busy.value || !draft.value.body.trim()}>
          {internal.value ? t("saveNote") : confirmed.value === last && came.length > 0 ? t("sendAnyway") : t("send")} <kbd>Ctrl ↵</kbd>
        </button>
      </div>
    </form>
  );
}

const whose = (message: Message, ticket: Whole): string =>
  message.author.kind === "customer" ? (ticket.customer?.name ?? word("customer")) : agentName(message.author.id) || word(message.author.kind);

/** What others said to the customer, or the customer, since the draft was begun. */
function cameSince(ticket: Whole, draft: Draft): Message[] {
  if (!draft.body || draft.seen === null) return [];
  const messages = ticket.messages ?? [];
  const at = messages.findIndex((message) => message.id === draft.seen);
  const mine = me.value?.agent?.id;
  return messages.slice(at + 1).filter((message) => message.visibility === "public" && !(mine && message.author.id === mine));
}

/** "promised: an answer by 14:03". */
function promised(ticket: Whole | null): string {
  const running = ticket?.clocks?.find((clock) => clock.state === "running" && clock.metric.endsWith("response") && clock.due_at);
  return running?.due_at ? t("promisedBy", { time: instant(running.due_at, true) }) : "";
}
