// The draft of a replay: the policies that are in force and the hours they go by, as they are changed here.
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, once } from "../api/client";
import type { Schemas } from "../api/client";
import { serverNow } from "../live/clock";
import { useReading } from "../live/reading";
import { Dialog } from "../ui/dialog";
import { Field, Form } from "../ui/form";
import { Loaded } from "../ui/loaded";
import { Choice, Tag } from "../ui/parts";
import { attempt } from "../ui/toast";
import { t, word } from "../words/index";
import { dayName, DAYS } from "../words/week";

type Policy = Schemas["SlaPolicyIn"];
type Target = Schemas["TargetIn"];
type Calendar = Schemas["BusinessCalendarOut"];
interface Draft {
  policy: Policy;
  kept: boolean;
}

const DAY = 86_400_000;

/** The day by the user's clock, as its field wants it. */
function day(at: number): string {
  const date = new Date(at);
  return new Date(at - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

async function inForce(): Promise<{ drafts: Draft[]; calendars: Calendar[] }> {
  const query = { limit: 200 };
  const [policies, calendars] = await Promise.all([ok(api.GET("/v1/sla-policies", { params: { query } })), ok(api.GET("/v1/business-calendars", { params: { query } }))]);
  const drafts = policies.items.filter((each) => !each.archived_at).sort((a, b) => a.position - b.position).map(({ id, version, created_at, archived_at, ...policy }) => ({ policy: policy as Policy, kept: true }));
  return { drafts, calendars: calendars.items.filter((each) => !each.archived_at) };
}

export function DraftForm(props: { onClose: () => void; onDone: (id: string) => void }): JSX.Element {
  const reading = useReading("draft", inForce);
  return (
    <Dialog title={t("newReplay")} onClose={props.onClose} class="wide">
      <Loaded of={reading}>{({ drafts, calendars }) => <Drafts drafts={drafts} calendars={calendars} {...props} />}</Loaded>
    </Dialog>
  );
}

function Drafts(props: { drafts: Draft[]; calendars: Calendar[]; onClose: () => void; onDone: (id: string) => void }): JSX.Element {
  const drafts = useSignal(props.drafts);
  const hours = useSignal<Record<string, Record<string, string>>>({});
  const submit = async (form: FormData): Promise<void> => {
    const midnight = (name: string, days: number): string => new Date(new Date(`${String(form.get(name))}T00:00`).getTime() + days * DAY).toISOString();
    const body: Schemas["SlaSimulationIn"] = {
      policies: drafts.value.filter((each) => each.kept).map((each) => each.policy),
      calendars: props.calendars.filter((each) => hours.value[each.id]).map((each) => ({ id: each.id, timezone: each.timezone, holidays: each.holidays, holiday_region: each.holiday_region, date_hours: each.date_hours as never, hours: week(hours.value[each.id] ?? {}) as never })),
      from: midnight("from", 0), to: midnight("to", 1), filter: {},
    };
    const made = await attempt(() => ok(api.POST("/v1/sla-simulations", { params: { header: once() }, body })));
    if (!made) return;
    props.onClose();
    props.onDone(made.id);
  };
  const today = serverNow();
  return (
    <Form onSend={submit}>
      <div class="row">
        <Field inline label={t("fromDay")}><input type="date" name="from" required defaultValue={day(today - 30 * DAY)} /></Field>
        <Field inline label={t("toDay")}><input type="date" name="to" required defaultValue={day(today)} /></Field>
      </div>
      {drafts.value.map((each, at) => <PolicyDraft key={each.policy.key} of={each} calendars={props.calendars} onChange={(changed) => (drafts.value = drafts.value.map((one, place) => (place === at ? changed : one)))} />)}
      {props.calendars.map((each) => <Hours key={each.id} calendar={each} hours={hours} />)}
      <button type="submit" class="primary">{t("startReplay")}</button>
    </Form>
  );
}

function PolicyDraft(props: { of: Draft; calendars: Calendar[]; onChange: (draft: Draft) => void }): JSX.Element {
  const { of: { policy, kept }, calendars, onChange } = props;
  const change = (part: Partial<Policy>): void => onChange({ kept, policy: { ...policy, ...part } });
  const retarget = (at: number, part: Partial<Target>): void => change({ targets: policy.targets.map((each, place) => (place === at ? { ...each, ...part } : each)) });
  return (
    <fieldset class="rule">
      <legend dir="auto">{policy.name}</legend>
      <label class="check"><input type="checkbox" checked={kept} onChange={(event) => onChange({ policy, kept: event.currentTarget.checked })} /> {t("inForce")}</label>
      {kept && policy.targets.map((each, at) => (
        <div key={at} class="row">
          <Field inline label={<>{word(each.metric)}{each.priority && <> <Tag>{word(each.priority)}</Tag></>}, {t("seconds")}</>}>
            <input type="number" min={1} required value={each.seconds} onChange={(event) => retarget(at, { seconds: event.currentTarget.valueAsNumber || each.seconds })} />
          </Field>
          <Choice hideLabel label={t("hours")} value={each.hours ?? "calendar"} options={(["calendar", "business"] as const).map((hours) => [hours, word(`hours_${hours}`)] as const)} onChoose={(hours) => retarget(at, { hours: hours as "calendar" })} />
        </div>
      ))}
      {kept && calendars.length > 0 && <Choice label={t("calendars")} value={policy.calendar_id ?? ""} options={[["", t("none")], ...calendars.map((each) => [each.id, each.name] as const)]} onChoose={(id) => change({ calendar_id: id || null })} />}
    </fieldset>
  );
}

const written = (spans: string[][] | undefined): string => (spans ?? []).map((span) => span.join("-")).join(", ");

/** 09:00-12:00, 13:00-17:00 of each day, as the service takes it. */
function week(days: Record<string, string>): Record<string, string[][]> {
  const spans = (text: string): string[][] => text.split(",").map((span) => span.split("-").map((time) => time.trim())).filter((span) => span.length === 2);
  return Object.fromEntries(Object.entries(days).map(([day, text]) => [day, spans(text)]));
}

const SPAN = "\\s*\\d\\d:\\d\\d\\s*-\\s*\\d\\d:\\d\\d\\s*";

/** A calendar with other hours; as long as none is changed it stays the stored one. */
function Hours(props: { calendar: Calendar; hours: Signal<Record<string, Record<string, string>>> }): JSX.Element {
  const { calendar, hours } = props;
  const stored = Object.fromEntries(DAYS.map((each) => [each, written((calendar.hours as Record<string, string[][]>)[each])]));
  const shown: Record<string, string> = hours.value[calendar.id] ?? stored;
  return (
    <details>
      <summary dir="auto">{t("otherHours")}: {calendar.name}</summary>
      <div class="row">
        {DAYS.map((each, at) => (
          <Field key={each} inline label={dayName(at)}>
            <input value={shown[each]} placeholder={t("closed")} pattern={`(${SPAN}(,${SPAN})*)?`} onChange={(event) => (hours.value = { ...hours.value, [calendar.id]: { ...shown, [each]: event.currentTarget.value } })} />
          </Field>
        ))}
      </div>
    </details>
  );
}
