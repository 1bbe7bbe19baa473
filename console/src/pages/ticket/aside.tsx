// Out of the queue for a while, or for good: snoozed until an instant, or marked as spam.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, once } from "../../api/client";
import { serverNow } from "../../live/clock";
import { Dialog } from "../../ui/dialog";
import { Field, Form } from "../../ui/form";
import { Choice, When } from "../../ui/parts";
import { attempt } from "../../ui/toast";
import { instant } from "../../words/format";
import { t } from "../../words/index";
import type { Desk, Whole } from "./state";

const HOUR = 3_600_000;

/** The morning so many days from now, by the user's clock. */
function morning(days: number): number {
  const date = new Date(serverNow());
  date.setDate(date.getDate() + days);
  return date.setHours(9, 0, 0, 0);
}

function choices(): number[] {
  const now = serverNow();
  const toMonday = ((8 - new Date(now).getDay()) % 7) || 7;
  return [...new Set([now + HOUR, now + 4 * HOUR, morning(1), morning(toMonday)])];
}

export function AsideButtons(props: { ticket: Whole; desk: Desk }): JSX.Element {
  const { ticket, desk } = props;
  const asking = useSignal(false);
  const params = { path: { ticket_id: ticket.id }, header: once() };
  const mark = async (): Promise<void> => {
    if (!window.confirm(t("reallySpam"))) return;
    await attempt(() => ok(api.POST("/v1/tickets/{ticket_id}/spam", { params })));
    await desk.reading.reload();
  };
  if (ticket.spam_at || ticket.status === "closed") return <></>;
  return (
    <>
      {!ticket.snoozed_until && <button type="button" class="quiet" onClick={() => (asking.value = true)}>{t("snooze")}</button>}
      <button type="button" class="quiet" onClick={() => void mark()}>{t("spam")}</button>
      {asking.value && <SnoozeForm ticket={ticket} desk={desk} onClose={() => (asking.value = false)} />}
    </>
  );
}

function SnoozeForm(props: { ticket: Whole; desk: Desk; onClose: () => void }): JSX.Element {
  const options = useSignal(choices());
  const until = useSignal(String(options.value[0]));
  const submit = async (form: FormData): Promise<void> => {
    const reason = String(form.get("reason")).trim();
    if (await snooze(props.ticket, new Date(Number(until.value)).toISOString(), reason || null)) props.onClose();
    await props.desk.reading.reload();
  };
  return (
    <Dialog title={t("snooze")} onClose={props.onClose}>
      <Form onSend={submit}>
        <Choice label={t("until")} value={until.value} options={options.value.map((at) => [String(at), instant(at)] as const)} onChoose={(value) => (until.value = value)} />
        <Field label={t("reason")}><input name="reason" maxLength={200} /></Field>
        <p class="muted small">{t("snoozeHint")}</p>
        <button type="submit" class="primary">{t("snooze")}</button>
      </Form>
    </Dialog>
  );
}

async function snooze(ticket: Whole, until: string | null, reason: string | null): Promise<boolean> {
  const params = { path: { ticket_id: ticket.id }, header: once() };
  return (await attempt(() => ok(api.POST("/v1/tickets/{ticket_id}/snooze", { params, body: { until, reason } })))) !== undefined;
}

/** Says that the ticket is out of the queue, and brings it back. */
export function AsideNote(props: { ticket: Whole; desk: Desk; may: boolean }): JSX.Element | null {
  const { ticket, desk, may } = props;
  const back = async (): Promise<void> => {
    const params = { path: { ticket_id: ticket.id }, header: once() };
    if (ticket.spam_at) await attempt(() => ok(api.POST("/v1/tickets/{ticket_id}/not-spam", { params })));
    else await snooze(ticket, null, null);
    await desk.reading.reload();
  };
  const asleep = ticket.snoozed_until && Date.parse(ticket.snoozed_until) > serverNow();
  if (!ticket.spam_at && !asleep) return null;
  return (
    <p class="aside-line">
      {ticket.spam_at ? <span>× {t("markedSpam")} <When at={ticket.spam_at} /></span> : <span>{t("snoozedUntil")} <When at={ticket.snoozed_until} /></span>}
      {ticket.snooze_reason && asleep && <q dir="auto">{ticket.snooze_reason}</q>}
      {may && <button type="button" onClick={() => void back()}>{ticket.spam_at ? t("notSpam") : t("wake")}</button>}
    </p>
  );
}
