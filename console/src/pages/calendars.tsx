// Business hours, drawn as a week, and what a deadline becomes in them.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, once } from "../api/client";
import type { Schemas } from "../api/client";
import { serverNow } from "../live/clock";
import { useReading } from "../live/reading";
import { Field, Form } from "../ui/form";
import { Loaded } from "../ui/loaded";
import { Choice, Empty, Panel, Tag } from "../ui/parts";
import { attempt } from "../ui/toast";
import { absolute, spoken } from "../words/format";
import { t } from "../words/index";
import { dayName, DAYS } from "../words/week";

type Calendar = Schemas["BusinessCalendarOut"];

export function Calendars(): JSX.Element {
  const reading = useReading("calendars", async () => (await ok(api.GET("/v1/business-calendars", { params: { query: { limit: 200 } } }))).items.filter((each) => !each.archived_at), (event) => event.type.startsWith("business_calendar."));
  return (
    <div class="page">
      <div class="page-head"><h1>{t("calendars")}</h1></div>
      <Loaded of={reading}>{(rows) => rows.length ? rows.map((each) => <OneCalendar key={each.id} calendar={each} />) : <Empty title={t("noCalendars")}>{t("noCalendarsHint")}</Empty>}</Loaded>
    </div>
  );
}

const minutes = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5));

function OneCalendar(props: { calendar: Calendar }): JSX.Element {
  const { calendar } = props;
  const hours = calendar.hours as Record<string, string[][]>;
  return (
    <Panel title={<span dir="auto">{calendar.name}</span>} actions={<span class="muted small">{calendar.timezone} · v{calendar.version}</span>}>
      <div class="columns">
        <svg class="week" viewBox="0 0 420 176" role="img" aria-label={DAYS.map((day, at) => `${dayName(at)} ${(hours[day] ?? []).map((span) => span.join("–")).join(", ") || t("closed")}`).join("; ")}>
          {[0, 6, 12, 18, 24].map((hour) => <g key={hour}><line class="week-line" x1={44 + hour * 15} x2={44 + hour * 15} y1="18" y2="172" /><text class="week-text" x={44 + hour * 15} y="12" text-anchor="middle">{hour}</text></g>)}
          {DAYS.map((day, at) => (
            <g key={day}>
              <text class="week-text" x="0" y={35 + at * 22}>{dayName(at)}</text>
              {(hours[day] ?? []).map(([from = "00:00", to = "24:00"]) => <rect key={from} class="week-open" x={44 + minutes(from) / 4} y={22 + at * 22} width={Math.max(1, (minutes(to) - minutes(from)) / 4)} height="17" rx="4" />)}
            </g>
          ))}
        </svg>
        <Compute calendar={calendar} />
      </div>
      <p>{calendar.holiday_region && <Tag>{t("holidaysOf", { region: calendar.holiday_region })}</Tag>} {calendar.holidays.map((day) => <Tag key={day}>{day}</Tag>)} {Object.keys(calendar.date_hours).map((day) => <Tag key={day}>{day} *</Tag>)}</p>
    </Panel>
  );
}

/** What clocks on the wall of a zone show, as if it were UTC. */
function wall(at: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).formatToParts(at);
  const of = (type: string): number => Number(parts.find((part) => part.type === type)?.value);
  return Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"));
}

/** The instant at which the clocks of a zone show this; where they skip it, as much later. */
function instantIn(timeZone: string, shown: string): Date {
  const wanted = Date.parse(`${shown}Z`);
  const before = wanted - (wall(wanted, timeZone) - wanted);
  return new Date(wanted - (wall(before, timeZone) - before));
}

/** The next Friday at half past four in the calendar's zone. */
function friday(timeZone: string): string {
  const date = new Date(wall(Math.floor(serverNow() / 1000) * 1000, timeZone));
  date.setUTCDate(date.getUTCDate() + ((12 - date.getUTCDay()) % 7));
  return `${date.toISOString().slice(0, 10)}T16:30`;
}

const SPANS = [900, 3600, 14_400, 28_800, 57_600] as const;

function Compute(props: { calendar: Calendar }): JSX.Element {
  const seconds = useSignal("3600");
  const result = useSignal<string | null>(null);
  const submit = async (form: FormData): Promise<void> => {
    const start = String(form.get("start"));
    const body = { calendar_id: props.calendar.id, op: "after" as const, start: instantIn(props.calendar.timezone, start).toISOString(), seconds: Number(seconds.value) };
    const found = await attempt(() => ok(api.POST("/v1/business-calendars/compute", { params: { header: once() }, body })));
    if (found) result.value = absolute(String(found.result), props.calendar.timezone);
  };
  return (
    <Form onSend={submit}>
      <h3>{t("ifItStarts")}</h3>
      <Field label={<>{t("start")} ({props.calendar.timezone})</>}><input type="datetime-local" name="start" required defaultValue={friday(props.calendar.timezone)} /></Field>
      <Choice label={t("within")} value={seconds.value} options={SPANS.map((each) => [String(each), spoken(each)] as const)} onChoose={(value) => (seconds.value = value)} />
      <button type="submit">{t("ask")}</button>
      {result.value && <p role="status">{t("dueAt", { time: result.value })}</p>}
    </Form>
  );
}
