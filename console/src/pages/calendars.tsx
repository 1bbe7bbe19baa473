// Business hours, drawn as a week, and what a deadline becomes in them.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, once } from "../api/client";
import type { Schemas } from "../api/client";
import { serverNow } from "../live/clock";
import { useReading } from "../live/reading";
import { Choice, Empty, Failure, Panel, Skeleton, Tag } from "../ui/parts";
import { attempt } from "../ui/toast";
import { absolute, spoken } from "../words/format";
import { language, t } from "../words/index";

type Calendar = Schemas["BusinessCalendarOut"];
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

export function Calendars(): JSX.Element {
  const reading = useReading("calendars", async () => (await ok(api.GET("/v1/business-calendars", { params: { query: { limit: 200 } } }))).items, (event) => event.type.startsWith("business_calendar."));
  const rows = reading.data.value?.filter((each) => !each.archived_at);
  return (
    <div class="page">
      <div class="page-head"><h1>{t("calendars")}</h1></div>
      {reading.failure.value && !rows ? <Failure of={reading.failure.value} retry={() => void reading.reload()} /> : !rows ? <Skeleton /> : rows.length ? rows.map((each) => <OneCalendar key={each.id} calendar={each} />) : <Empty title={t("noCalendars")}>{t("noCalendarsHint")}</Empty>}
    </div>
  );
}

const minutes = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5));

function dayName(at: number): string {
  // The first of January 2024 was a Monday.
  return new Intl.DateTimeFormat(language.value, { weekday: "short", timeZone: "UTC" }).format(new Date(Date.UTC(2024, 0, 1 + at)));
}

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
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const start = String(new FormData(event.currentTarget as HTMLFormElement).get("start"));
    const body = { calendar_id: props.calendar.id, op: "after" as const, start: instantIn(props.calendar.timezone, start).toISOString(), seconds: Number(seconds.value) };
    const found = await attempt(() => ok(api.POST("/v1/business-calendars/compute", { params: { header: once() }, body })));
    if (found) result.value = absolute(String(found.result), props.calendar.timezone);
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event as unknown as SubmitEvent)}>
      <h3>{t("ifItStarts")}</h3>
      <label class="field"><span>{t("start")} ({props.calendar.timezone})</span><input type="datetime-local" name="start" required defaultValue={friday(props.calendar.timezone)} /></label>
      <Choice label={t("within")} value={seconds.value} options={SPANS.map((each) => [String(each), spoken(each)] as const)} onChoose={(value) => (seconds.value = value)} />
      <button type="submit">{t("ask")}</button>
      {result.value && <p role="status">{t("dueAt", { time: result.value })}</p>}
    </form>
  );
}
