// What is promised on average: how each goal stands, and for those who may, writing one.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { api, ok, once } from "../api/client";
import type { Schemas } from "../api/client";
import { now } from "../live/clock";
import { people, teams } from "../live/people";
import type { Reading } from "../live/reading";
import { can } from "../session";
import { Dialog } from "../ui/dialog";
import { Field, Form } from "../ui/form";
import { Loaded } from "../ui/loaded";
import { Choice, Empty, Panel } from "../ui/parts";
import { attempt } from "../ui/toast";
import { number, percent, spoken } from "../words/format";
import { t, word } from "../words/index";
import { GoalHistory } from "./reports-history";
import { GoalWhy } from "./reports-why";
import { sentence, type Standing, tone, valueAt } from "./board-goal";

type FairnessBy = Schemas["FairnessBy"];
const GROUPS: FairnessBy[] = ["segment", "region", "language"];
const MARKS: Record<string, string> = { met: "✓", close: "▲", missed: "■", none: "" };

export function Goals(props: { reading: Reading<Standing[]> }): JSX.Element {
  const { reload } = props.reading;
  const writing = useSignal(false);
  const opened = useSignal<string | null>(null);
  const asked = useSignal<string | null>(null);
  const remove = async (id: string): Promise<void> => {
    if (!window.confirm(t("reallyDelete"))) return;
    await attempt(() => ok(api.DELETE("/v1/service-goals/{goal_id}", { params: { path: { goal_id: id } } })));
    await reload();
  };
  return (
    <Panel title={t("goals")} actions={can("goals:write") && <button type="button" onClick={() => (writing.value = true)}>+ {t("newGoal")}</button>}>
      <Loaded of={props.reading}>
        {(found) => found.length ? (
          <ul class="goal-list">
            {found.map(({ goal, status }) => {
              const look = tone(status, now.value);
              const value = valueAt(status, now.value);
              const share = goal.statistic === "attainment" || goal.statistic === "fairness";
              const target = goal.fairness ? `${word(goal.fairness.by)}: ${number(goal.fairness.max_gap_points, 1)} %` : share ? percent(goal.target_percent) : spoken(goal.target_seconds);
              return (
                <li key={goal.id} class="goal-row">
                  <span class={`goal-mark tone-${look}`} aria-hidden="true">{MARKS[look]}</span>
                  <span class="goal-row-name"><strong>{goal.name}</strong><br /><span class={`small tone-${look}`}>{sentence(status, look, now.value)}</span></span>
                  <span><strong>{value === null ? "–" : `${number(value, 1)} ${share ? "%" : "s"}`}</strong> <span class="muted">{t("ofTarget", { target })}</span></span>
                  <span class="muted small">{t("budget")} {percent(status.budget_spent === null ? null : status.budget_spent * 100)} · {t("burnRate")} {status.burn_rate === null ? "–" : number(status.burn_rate, 1)}</span>
                  <span class="row">
                    <button type="button" aria-label={`${t("goalHistory")}: ${goal.name}`} aria-expanded={opened.value === goal.id} onClick={() => (opened.value = opened.value === goal.id ? null : goal.id)}>{t("goalHistory")}</button>
                    {goal.statistic === "mean" && <button type="button" aria-label={`${t("whyMean")}: ${goal.name}`} aria-expanded={asked.value === goal.id} onClick={() => (asked.value = asked.value === goal.id ? null : goal.id)}>{t("whyMean")}</button>}
                    {can("goals:write") && <button type="button" class="quiet" aria-label={`${t("remove")} ${goal.name}`} onClick={() => void remove(goal.id)}>✕</button>}
                  </span>
                  {opened.value === goal.id && <GoalHistory goal={goal} />}
                  {asked.value === goal.id && <GoalWhy goal={goal} />}
                </li>
              );
            })}
          </ul>
        ) : <Empty title={t("noGoal")}>{t("noGoalHint")}</Empty>}
      </Loaded>
      {writing.value && <GoalForm onClose={() => (writing.value = false)} onDone={() => void reload()} />}
    </Panel>
  );
}

function GoalForm(props: { onClose: () => void; onDone: () => void }): JSX.Element {
  const statistic = useSignal("mean");
  const hours = useSignal("1");
  const team = useSignal("");
  const by = useSignal<FairnessBy>("segment");
  useEffect(() => void people(), []);
  const submit = async (form: FormData): Promise<void> => {
    const name = String(form.get("name"));
    const body: Schemas["ServiceGoalIn"] = {
      key: name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60) || "goal",
      name, statistic: statistic.value as "mean", target_seconds: Number(form.get("target")),
      target_percent: statistic.value === "attainment" ? Number(form.get("percent")) : null,
      fairness: statistic.value === "fairness" ? { by: by.value, max_gap_points: Number(form.get("points")) } : null,
      filter: { team_id: team.value || null },
      window: { rolling_seconds: Number(hours.value) * 3600 },
    };
    const made = await attempt(() => ok(api.POST("/v1/service-goals", { params: { header: once() }, body })));
    if (!made) return;
    props.onDone();
    props.onClose();
  };
  return (
    <Dialog title={t("newGoal")} onClose={props.onClose}>
      <Form onSend={submit}>
        <Field label={t("name")}><input name="name" required maxLength={200} autoFocus /></Field>
        <Choice label={t("statistic")} value={statistic.value} options={[["mean", t("plotMean")], ["p90", t("plotP90")], ["attainment", t("attainment")], ["fairness", t("fairness")]]} onChoose={(value) => (statistic.value = value)} />
        <Field label={t("targetSeconds")}><input name="target" type="number" min={1} required defaultValue="90" /></Field>
        {statistic.value === "attainment" && <Field label={t("targetPercent")}><input name="percent" type="number" min={1} max={100} step="0.1" required defaultValue="90" /></Field>}
        {statistic.value === "fairness" && <Choice label={t("between")} value={by.value} options={GROUPS} onChoose={(value) => (by.value = value as FairnessBy)} />}
        {statistic.value === "fairness" && <Field label={t("maxGap")}><input name="points" type="number" min={0} max={99} step="0.1" required defaultValue="5" /></Field>}
        <Choice label={t("span")} value={hours.value} options={["1", "8", "24", "168"].map((each) => [each, spoken(Number(each) * 3600)] as const)} onChoose={(value) => (hours.value = value)} />
        {teams.value.size > 0 && <Choice label={t("forTeam")} value={team.value} options={[["", t("allTeams")], ...[...teams.value.values()].map((each) => [each.id, each.name] as const)]} onChoose={(value) => (team.value = value)} />}
        <button type="submit" class="primary">{t("save")}</button>
      </Form>
    </Dialog>
  );
}
