// How many agents are needed so that a goal is met, hour by hour, and how far off that was in the past.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { api, ok, once, Refused } from "../api/client";
import type { Schemas } from "../api/client";
import { useReading } from "../live/reading";
import { can } from "../session";
import { Figures } from "../ui/figures";
import { Field, Form } from "../ui/form";
import { Loaded } from "../ui/loaded";
import { Choice, Empty, Failure, Panel, Skeleton } from "../ui/parts";
import { type Line, Plot } from "../ui/plot";
import { instant, number, percent, spoken, zone } from "../words/format";
import { t } from "../words/index";

type Forecast = Schemas["StaffingForecast"];
type Item = Schemas["StaffingItem"];
const INTERVALS = ["hour", "half_hour", "quarter_hour"] as const;

async function goals(): Promise<Schemas["ServiceGoalOut"][]> {
  const { items } = await ok(api.GET("/v1/service-goals", { params: { query: { limit: 200 } } }));
  return items.filter((each) => each.metric === "first_response" && each.statistic !== "fairness");
}

export function Staffing(): JSX.Element {
  const reading = useReading("staffing-goals", async () => (can("goals:read") ? await goals() : []));
  return (
    <div class="page">
      <div class="page-head"><h1>{t("staffing")}</h1><span class="muted small">{t("zoneNote", { zone: zone() })}</span></div>
      <Loaded of={reading}>{(found) => <Ask goals={found} />}</Loaded>
    </div>
  );
}

function Ask(props: { goals: Schemas["ServiceGoalOut"][] }): JSX.Element {
  const goal = useSignal(props.goals[0]?.id ?? "");
  const days = useSignal("7");
  const interval = useSignal<(typeof INTERVALS)[number]>("hour");
  const found = useSignal<Forecast | Refused | "asked" | null>(null);
  const submit = async (form: FormData): Promise<void> => {
    const given = (name: string): number | null => (form.get(name) ? Number(form.get(name)) : null);
    const body: Schemas["StaffingForecastIn"] = {
      ...(goal.value ? { goal_id: goal.value } : { target: { target_seconds: given("target") ?? 90 } }),
      max_abandoned_percent: given("abandoned") ?? 5, shrinkage: (given("shrinkage") ?? 0) / 100,
      handling_seconds: given("handling"), patience_seconds: given("patience"), days: Number(days.value), interval: interval.value, timezone: zone(),
    };
    found.value = "asked";
    try {
      found.value = await ok(api.POST("/v1/staffing/forecast", { params: { header: once() }, body }));
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      found.value = refused;
    }
  };
  const figure = (name: string, label: string, most: number, begun = ""): JSX.Element => (
    <Field inline label={label}><input name={name} type="number" min={name === "shrinkage" ? 0 : 1} max={most} step="any" defaultValue={begun} placeholder={begun ? "" : t("learnt")} /></Field>
  );
  const shown = found.value;
  return (
    <>
      <Panel>
        <Form class="row" onSend={submit}>
          <Choice label={t("goal")} value={goal.value} options={[...props.goals.map((each) => [each.id, each.name] as const), ["", t("ownTarget")]]} onChoose={(value) => (goal.value = value)} />
          {!goal.value && figure("target", t("targetSeconds"), 604_800, "90")}
          {figure("abandoned", t("mayGiveUp"), 50, "5")}
          {figure("shrinkage", t("notAtWork"), 95, "0")}
          {figure("handling", t("handlingSeconds"), 604_800)}
          {figure("patience", t("patienceSeconds"), 2_678_400)}
          <Choice label={t("days")} value={days.value} options={["1", "7", "14"]} onChoose={(value) => (days.value = value)} />
          <Choice label={t("interval")} value={interval.value} options={INTERVALS} onChoose={(value) => (interval.value = value as "hour")} />
          <button type="submit" class="primary">{t("forecast")}</button>
        </Form>
      </Panel>
      {shown === null ? <Empty title={t("noForecast")}>{t("noForecastHint")}</Empty> : shown === "asked" ? <Skeleton lines={8} /> : shown instanceof Refused ? <Failure of={shown} /> : <Answer of={shown} />}
    </>
  );
}

function Answer(props: { of: Forecast }): JSX.Element {
  const found = props.of;
  const { error, arrivals_error: arrivals } = found;
  const drawn = useMemo(() => {
    const lines: Line[] = [
      { name: t("agentsAtWork"), tone: "mean", values: found.items.map((each) => each.agents) },
      { name: t("scheduled"), tone: "upper", values: found.items.map((each) => each.scheduled) },
    ];
    return { times: found.items.map((each) => Date.parse(each.start) / 1000), lines };
  }, [found]);
  const facts = [
    t("bound", { percent: percent(found.max_abandoned_percent, 1) }),
    t("modelOf", { handling: spoken(found.handling_seconds), patience: found.patience_seconds === null ? t("nobodyGivesUp") : spoken(found.patience_seconds) }),
    error ? t("pastError", { hours: number(error.hours), off: spoken(error.mean_absolute_error_seconds), mean: spoken(error.mean_wait_seconds), before: spoken(error.as_before_error_seconds) }) : t("pastUnknown"),
    ...(arrivals ? [t("arrivalsError", { percent: percent(arrivals.covered_percent, 1) })] : []),
  ];
  return (
    <Panel title={t("staffing")} label={t("staffing")}>
      {found.unsure.length > 0 && <ul class="notice">{found.unsure.map((each) => <li key={each}>▲ {each}</li>)}</ul>}
      <ul class="plain">{facts.map((each) => <li key={each}>{each}</li>)}</ul>
      <Plot times={drawn.times} lines={drawn.lines} unit="" day={false} height={240} label={t("staffing")} />
      <Figures
        class="figures" label={t("forecast")}
        heads={[t("time"), t("arrivals"), t("agentsAtWork"), t("scheduled"), t("plotMean"), t("attainment"), t("giveUp"), t("busy"), t("oneLess")]}
        rows={found.items.filter((each) => each.arrivals !== 0).map(cells)}
      />
    </Panel>
  );
}

const wait = (value: number | null): string => (value === null ? "∞" : spoken(value));

function cells(item: Item): (string | JSX.Element)[] {
  const at = item.options.findIndex((each) => each.agents === item.agents);
  const [chosen, less] = [item.options[at], item.options[at - 1]];
  return [
    instant(item.start), item.arrivals === null ? "–" : number(item.arrivals, 1), item.agents === null ? "–" : number(item.agents), item.scheduled === null ? "–" : number(item.scheduled),
    ...(chosen ? [wait(chosen.mean_wait_seconds), percent(chosen.within_percent, 1), percent(chosen.abandoned_percent, 1), percent(chosen.occupancy_percent)] : ["–", "–", "–", "–"]),
    less ? `${wait(less.mean_wait_seconds)} · ${percent(less.abandoned_percent, 1)}` : "–",
  ];
}
