// Goals and reports: how answers went, by when and by whom, with what is left out said beside it.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { api, download, ok, save } from "../api/client";
import type { BacklogReport, ResponseTimes, ResponseTimesReport } from "../api/wire";
import { serverNow } from "../live/clock";
import { useReading } from "../live/reading";
import { route, setParams } from "../router";
import { Figures } from "../ui/figures";
import { Loaded } from "../ui/loaded";
import { Choice, Empty, Failure, Panel, Skeleton } from "../ui/parts";
import { type Line, Plot } from "../ui/plot";
import { attempt } from "../ui/toast";
import { number, percent, spoken, zone } from "../words/format";
import { t, word } from "../words/index";
import { useGoals } from "./board-goal";
import { Goals } from "./reports-goals";
import { Offers } from "./reports-offers";
import { Quality } from "./reports-quality";

const SPANS = { day: [1, "hour"], week: [7, "day"], month: [30, "day"] } as const;
const GROUPS = ["team", "agent", "priority", "channel", "type", "segment", "region", "product", "policy"] as const;
const METRICS = ["first_response", "next_response", "resolution"] as const;
type Group = (typeof GROUPS)[number];

interface Asked {
  from: string;
  to: string;
  metric: (typeof METRICS)[number];
}

function useAsked(): Asked & { interval: "hour" | "day"; group: Group; span: keyof typeof SPANS } {
  const { params } = route.value;
  const span = (params.get("span") ?? "week") as keyof typeof SPANS;
  const [days, interval] = SPANS[span] ?? SPANS.week;
  const metric = (params.get("metric") ?? "first_response") as Asked["metric"];
  const group = (params.get("group") ?? "team") as Group;
  const to = Math.ceil(serverNow() / 3_600_000) * 3_600_000;
  return { from: new Date(to - days * 86_400_000).toISOString(), to: new Date(to).toISOString(), metric, interval, group, span };
}

async function ask(asked: Asked, more: Record<string, unknown>): Promise<ResponseTimes[]> {
  const query = { ...asked, timezone: zone(), ...more } as never;
  return ((await ok(api.GET("/v1/reports/response-times", { params: { query } }))) as ResponseTimesReport).items;
}

export function Reports(): JSX.Element {
  const { from, to, metric, interval, group, span } = useAsked();
  const asked = { from, to, metric };
  const goals = useGoals();
  return (
    <div class="page">
      <div class="page-head">
        <h1>{t("reports")}</h1>
        <Choice label={t("span")} value={span} options={[["day", t("span_day")], ["week", t("span_week")], ["month", t("span_month")]]} onChoose={(value) => setParams({ span: value })} />
        <Choice label={t("metric")} value={metric} options={METRICS} onChoose={(value) => setParams({ metric: value })} />
        <span class="muted small">{t("zoneNote", { zone: zone() })}</span>
      </div>
      <Goals reading={goals} />
      <OverTime asked={asked} interval={interval} target={metric === "first_response" ? (goals.data.value?.[0]?.goal.target_seconds ?? null) : null} />
      <ByGroup asked={asked} group={group} />
      <BacklogNow group={group} />
      <Quality from={from} to={to} group={group} name={(item) => groupName(item, group)} />
      <SelfService asked={asked} />
      <Offers from={from} to={to} />
    </div>
  );
}

function OverTime(props: { asked: Asked; interval: "hour" | "day"; target: number | null }): JSX.Element {
  const { asked, interval, target } = props;
  const reading = useReading(`time ${asked.from} ${asked.metric}`, () => ask(asked, { interval }));
  const found = reading.data.value;
  const drawn = useMemo(() => {
    if (!found) return null;
    const lines: Line[] = [
      { name: t("plotMean"), tone: "mean", values: found.map((item) => item.mean_floor) },
      { name: t("plotP90"), tone: "upper", values: found.map((item) => item.p90) },
      ...(target === null ? [] : [{ name: t("plotTarget"), tone: "target" as const, values: found.map(() => target) }]),
    ];
    return { times: found.map((item) => Date.parse(item.interval_start ?? "") / 1000), lines };
  }, [found, target]);
  return (
    <Panel title={t("overTime")}>
      {reading.failure.value ? <Failure of={reading.failure.value} retry={() => void reading.reload()} /> : !drawn ? <Skeleton /> : drawn.times.length ? (
        <Plot times={drawn.times} lines={drawn.lines} unit={t("seconds")} day={interval === "day"} height={240} label={t("overTime")} />
      ) : <Empty title={t("noFigures")} />}
    </Panel>
  );
}

// What people named stays as they wrote it.
const OF_THE_API: readonly Group[] = ["priority", "channel", "type"];

const groupName = (item: { group: object }, group: Group): string => {
  const values = item.group as Record<string, string | null>;
  const value = values[`${group}_name`] ?? values[group];
  return value ? (OF_THE_API.includes(group) ? word(value) : value) : t("none");
};

function ByGroup(props: { asked: Asked; group: Group }): JSX.Element {
  const { asked, group } = props;
  const reading = useReading(`group ${asked.from} ${asked.metric} ${group}`, () => ask(asked, { group_by: [group] }));
  const csv = async (): Promise<void> => {
    const query = new URLSearchParams({ ...asked, timezone: zone(), group_by: group });
    const blob = await attempt(() => download(`/v1/reports/response-times?${query}`, "text/csv"));
    if (blob) save(blob, `${asked.metric}-${group}.csv`);
  };
  const unanswered = (item: ResponseTimes): number => Object.values(item.unanswered).reduce((sum, each) => sum + Number(each), 0);
  const reasons = (item: ResponseTimes): string => Object.entries(item.unanswered).filter(([, n]) => Number(n)).map(([reason, n]) => `${word(reason)}: ${String(n)}`).join(", ");
  const seconds = (value: number | null): string => (value === null ? "–" : spoken(value));
  return (
    <Panel
      title={t("byGroup")}
      actions={
        <span class="row">
          <Choice hideLabel label={t("byGroup")} value={group} options={GROUPS} onChoose={(value) => setParams({ group: value })} />
          <button type="button" onClick={() => void csv()}>CSV</button>
        </span>
      }
    >
      <Loaded of={reading}>
        {(rows) => rows.length ? (
          <Figures
            label={t("byGroup")}
            heads={[word(group), t("answered"), t("meanFloor"), t("meanAnswered"), "p50", "p90", "p99", t("attainment"), t("running"), t("left")]}
            rows={rows.map((item) => [
              groupName(item, group), number(item.answered), ...[item.mean_floor, item.mean_answered, item.p50, item.p90, item.p99].map(seconds), percent(item.attainment, 1), item.running,
              <>{unanswered(item)} <span class="muted small">{reasons(item)}</span></>,
            ])}
          />
        ) : <Empty title={t("noFigures")} />}
      </Loaded>
      <p class="muted small">{t("leftOut")}</p>
    </Panel>
  );
}

function BacklogNow(props: { group: Group }): JSX.Element {
  const { group } = props;
  const reading = useReading(`backlog ${group}`, async () => ((await ok(api.GET("/v1/reports/backlog", { params: { query: { group_by: [group] } } }))) as BacklogReport).items, (event) => /^(ticket|message|sla)\./.test(event.type), 3000);
  return (
    <Panel title={t("backlogNow")}>
      <Loaded of={reading}>
        {(rows) => rows.length ? (
          <Figures
            label={t("backlogNow")}
            heads={[word(group), t("open"), t("running"), t("oldest"), `▲ ${t("figRisk")}`, `■ ${t("figLate")}`]}
            rows={rows.map((row) => [groupName(row, group), row.open, row.waiting, row.oldest_wait_seconds === null ? "–" : spoken(row.oldest_wait_seconds), row.at_risk, row.breached])}
          />
        ) : <Empty title={t("noneSuch")} />}
      </Loaded>
    </Panel>
  );
}

function SelfService(props: { asked: Asked }): JSX.Element {
  const { from, to } = props.asked;
  const reading = useReading(`self ${from}`, async () => (await ok(api.GET("/v1/reports/self-service", { params: { query: { from, to, group_by: ["segment"] } as never } }))).items);
  return (
    <Panel title={t("selfService")}>
      <Loaded of={reading}>
        {(rows) => rows.length ? (
          <Figures
            label={t("selfService")}
            heads={[t("segment"), t("offered"), `✓ ${t("deflected")}`, `☎ ${t("handedOff")}`]}
            rows={rows.map((row) => [row.group.segment ?? t("none"), row.offered, row.deflected, row.handed_off])}
          />
        ) : <Empty title={t("noneSuch")}>{t("selfServiceHint")}</Empty>}
      </Loaded>
    </Panel>
  );
}
