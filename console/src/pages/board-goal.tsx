// A goal as it stands at this second: between two answers of the service it moves as the waits grow.
import { type Signal, useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok } from "../api/client";
import type { Goal, GoalStatus } from "../api/wire";
import { now } from "../live/clock";
import { type Reading, useReading } from "../live/reading";
import { route, setParams } from "../router";
import { can } from "../session";
import { Gauge } from "../ui/gauge";
import { Choice, Empty, Failure, Panel, Skeleton } from "../ui/parts";
import { duration, number, percent, spoken } from "../words/format";
import { t } from "../words/index";

export interface Standing {
  goal: Goal;
  status: GoalStatus;
}

const CONCERNS = /^(ticket\.(created|status_changed|merged|handed_off)|message\.created|sla\.|goal\.|service_goal\.|sla_exception\.)/;
const MOST_GOALS = 50;

async function goals(): Promise<Goal[]> {
  return can("goals:read") ? (await ok(api.GET("/v1/service-goals", { params: { query: { limit: MOST_GOALS } } }))).items : [];
}

async function judged(goal: Goal): Promise<Standing> {
  return { goal, status: await ok(api.GET("/v1/service-goals/{goal_id}/status", { params: { path: { goal_id: goal.id } } })) };
}

/** Every goal with its status. */
export function useGoals(): Reading<Standing[]> {
  return useReading("goals", async () => Promise.all((await goals()).map(judged)), (event) => CONCERNS.test(event.type), 1000);
}

/** The goal of the board, one of them all: that which the address names, else the team's own, else the first. */
export function useBoardGoal(team: string): { reading: Reading<Standing | null>; all: Signal<Goal[]> } {
  const wanted = route.value.params.get("goal") ?? "";
  const all = useSignal<Goal[]>([]);
  const reading = useReading(
    `goal ${wanted} ${team}`,
    async () => {
      // Whether groups are served alike is no gauge; it is among the reports.
      all.value = (await goals()).filter((each) => each.statistic !== "fairness");
      const shown = all.value.find((each) => each.key === wanted) ?? all.value.find((each) => team && each.filter.team_id === team) ?? all.value[0];
      return shown ? judged(shown) : null;
    },
    (event) => CONCERNS.test(event.type),
    1000,
  );
  return { reading, all };
}

export function GoalCard(props: { reading: Reading<Standing | null>; all: Signal<Goal[]> }): JSX.Element {
  const { data, failure, read, reload } = props.reading;
  if (failure.value && !data.value) return <Panel><Failure of={failure.value} retry={() => void reload()} /></Panel>;
  if (!read.value) return <Panel><Skeleton lines={5} /></Panel>;
  const shown = data.value;
  if (!shown) return <Panel><Empty title={t("noGoal")}>{t("noGoalHint")}</Empty></Panel>;
  const choices = props.all.value.map((each) => [each.key, each.name] as const);
  return (
    <Panel class="goal" label={t("goal")}>
      <Main key={shown.goal.id + shown.status.at} standing={shown} />
      {choices.length > 1 && <Choice hideLabel label={t("goal")} value={shown.goal.key} options={choices} onChoose={(goal) => setParams({ goal })} />}
    </Panel>
  );
}

/** What a goal's value is at an instant after the answer: a mean grows by the share of those who wait. */
export function valueAt(status: GoalStatus, at: number): number | null {
  const { value, statistic, running, answered } = status;
  if (value === null || statistic !== "mean" || !running) return value;
  return value + (Math.max(0, at - Date.parse(status.at)) / 1000) * (running / (running + answered));
}

/** How a goal stands at an instant after the answer. */
export function tone(status: GoalStatus, at: number): "met" | "close" | "missed" | "none" {
  if (status.judgement === "no_data") return "none";
  if (status.judgement === "missed") return "missed";
  if (status.crosses_at && at >= Date.parse(status.crosses_at)) return "missed";
  if (status.statistic === "mean" && (valueAt(status, at) ?? 0) > status.target_seconds * 0.9) return "close";
  return "met";
}

const MARKS = { met: "✓", close: "▲", missed: "■", none: "" };

function useJudged(standing: Standing) {
  const { status } = standing;
  const share = status.statistic === "attainment";
  const value = useComputed(() => valueAt(status, now.value));
  const look = useComputed(() => tone(status, now.value));
  const text = useComputed(() => (value.value === null ? "–" : number(value.value, 1)));
  const line = useComputed(() => sentence(status, look.value, now.value));
  return { share, value, look, text, line };
}

/** The same in words. */
export function sentence(status: GoalStatus, look: string, at: number): string {
  if (look === "none") return t("goalNoData");
  if (look === "missed") return t("recovers", { target: targetOf(status) });
  const left = status.crosses_at ? (Date.parse(status.crosses_at) - at) / 1000 : null;
  return left === null ? `${t("goalMet")}. ${t("neverBreaks")}` : `${t("goalMet")}, ${t("breaksIn", { time: duration(left) })}`;
}

const targetOf = (status: GoalStatus): string =>
  status.statistic === "attainment" ? `${percent(status.target_percent)} / ${spoken(status.target_seconds)}` : spoken(status.target_seconds);

function Main(props: { standing: Standing }): JSX.Element {
  const { goal, status } = props.standing;
  const { share, value, look, text, line } = useJudged(props.standing);
  const target = share ? (status.target_percent ?? 100) : status.target_seconds;
  return (
    <>
      <Gauge
        value={value.value} target={target} tone={look.value} text={text.value}
        unit={share ? `%, ${t("ofTarget", { target: percent(target) })}` : `${t("seconds")}, ${t("ofTarget", { target })}`}
        label={`${goal.name}: ${text.value}, ${t("ofTarget", { target })}`}
      />
      <h2 class="goal-name">{goal.name}</h2>
      <p class={`goal-line tone-${look.value}`}><span class="mark" aria-hidden="true">{MARKS[look.value]}</span> {line}</p>
      <dl class="facts">
        <div><dt>{t("meanAnswered")}</dt><dd>{status.mean_answered === null ? "–" : `${number(status.mean_answered, 1)} s`}</dd></div>
        <div><dt>{t("answered")}</dt><dd>{status.answered}</dd></div>
        <div><dt>{t("running")}</dt><dd>{status.running}</dd></div>
        <div><dt>{t("left")}</dt><dd>{status.unanswered}</dd></div>
        <div><dt>{t("budget")}</dt><dd>{percent(status.budget_spent === null ? null : status.budget_spent * 100)}</dd></div>
      </dl>
      <p class="muted small">
        {goal.window.rolling_seconds ? t("window", { time: spoken(goal.window.rolling_seconds) }) : t("windowDay", { zone: goal.window.calendar_day ?? "" })}
        {status.excluded > 0 && ` · ${t("excludedNote", { n: status.excluded })}`}
      </p>
    </>
  );
}
