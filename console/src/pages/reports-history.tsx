// How a goal stood day by day, judged by what it asked for then.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { api, ok } from "../api/client";
import type { Schemas } from "../api/client";
import type { Goal } from "../api/wire";
import { useReading } from "../live/reading";
import { Loaded } from "../ui/loaded";
import { Empty } from "../ui/parts";
import { type Line, Plot } from "../ui/plot";
import { number, percent, plotTime, spoken, zone } from "../words/format";
import { t } from "../words/index";

type Interval = Schemas["GoalInterval"];
const MARKS: Record<string, [string, string]> = { met: ["met", "✓"], missed: ["missed", "■"] };

export function GoalHistory(props: { goal: Goal }): JSX.Element {
  const { goal } = props;
  const query = goal.window.calendar_day ? {} : { timezone: zone() };
  const reading = useReading(`history ${goal.id}`, () => ok(api.GET("/v1/service-goals/{goal_id}/history", { params: { path: { goal_id: goal.id }, query } })));
  return (
    <div class="goal-history">
      <Loaded of={reading}>
        {(found) => found.items.some((each) => each.value !== null) ? <Days items={found.items} timezone={found.timezone} name={goal.name} /> : <Empty title={t("noFigures")} />}
      </Loaded>
    </div>
  );
}

function Days(props: { items: Interval[]; timezone: string; name: string }): JSX.Element {
  const { items } = props;
  const share = items[0]?.statistic === "attainment";
  const judged = items.filter((each) => each.value !== null);
  const drawn = useMemo(() => {
    const lines: Line[] = [
      { name: t("goalValue"), tone: "mean", values: items.map((each) => each.value) },
      { name: t("plotTarget"), tone: "target", values: items.map((each) => (share ? each.target_percent : each.target_seconds)) },
    ];
    return { times: items.map((each) => Date.parse(each.start) / 1000), lines };
  }, [items]);
  const shown = (value: number | null): string => (share ? percent(value, 1) : value === null ? "–" : `${number(value, 1)} s`);
  return (
    <>
      <p class="muted small">{t("zoneNote", { zone: props.timezone })}</p>
      <Plot times={drawn.times} lines={drawn.lines} unit={share ? "%" : t("seconds")} day label={`${t("goalHistory")}: ${props.name}`} />
      <div class="table-wrap figures" tabIndex={0} role="region" aria-label={`${t("goalHistory")}: ${props.name}`}>
        <table class="figures-table">
          <thead><tr><th scope="col">{t("time")}</th><th scope="col">{t("goalValue")}</th><th scope="col">{t("plotTarget")}</th><th scope="col">{t("answered")}</th><th scope="col">{t("left")}</th><th scope="col">{t("missedFor")}</th></tr></thead>
          <tbody>
            {judged.toReversed().map((each) => {
              const [tone, mark] = MARKS[each.judgement] ?? ["none", ""];
              return (
                <tr key={each.start}>
                  <th scope="row">{plotTime(Date.parse(each.start) / 1000, true)}</th>
                  <td class={`tone-${tone}`}><span aria-hidden="true">{mark}</span> {shown(each.value)} <span class="hidden">{t(each.judgement === "missed" ? "goalMissed" : "goalMet")}</span></td>
                  <td>{shown(share ? each.target_percent : each.target_seconds)}</td><td>{each.answered}</td><td>{each.unanswered}</td>
                  <td>{each.missed_seconds === null ? "–" : spoken(each.missed_seconds)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}
