// Quality beside speed: reopened, repeated, kept, recovered, and what customers said. Each figure is of what was then.
import type { JSX } from "preact";
import { api, ok } from "../api/client";
import type { QualityFigures, QualityReport } from "../api/wire";
import { useReading } from "../live/reading";
import { Figures } from "../ui/figures";
import { Empty, Failure, Panel, Skeleton } from "../ui/parts";
import { number, percent, spoken, zone } from "../words/format";
import { t, word } from "../words/index";

const seconds = (value: number | null): string => (value === null ? "–" : spoken(value));
const score = (value: number | null): string => (value === null ? "–" : value.toFixed(1));

/** Of all classes of the first answer's speed. */
function recovered(item: QualityFigures): string {
  const sum = (name: "resolved" | "recovered"): number => item.complaints.reduce((all, each) => all + each[name], 0);
  return sum("resolved") ? `${sum("recovered")} / ${sum("resolved")}` : "–";
}

export function Quality(props: { from: string; to: string; group: string; name: (item: QualityFigures) => string }): JSX.Element {
  const { from, to, group, name } = props;
  const ask = async (more: object): Promise<QualityFigures[]> =>
    ((await ok(api.GET("/v1/reports/quality", { params: { query: { from, to, timezone: zone(), ...more } as never } }))) as QualityReport).items;
  const reading = useReading(`quality ${from} ${group}`, async () => {
    const [whole, rows] = await Promise.all([ask({}), ask({ group_by: [group] })]);
    return { whole: whole[0], rows };
  });
  const found = reading.data.value;
  if (!found) return <Panel title={t("quality")}>{reading.failure.value ? <Failure of={reading.failure.value} retry={() => void reading.reload()} /> : <Skeleton />}</Panel>;
  const columns: [string, (item: QualityFigures) => string][] = [
    [t("resolvedCount"), (item) => number(item.resolutions.resolved)],
    [t("reopened"), (item) => percent(item.resolutions.reopen_rate, 1)],
    [t("withoutPerson"), (item) => number(item.resolutions.by_bot + item.resolutions.by_article)],
    [t("satisfaction"), (item) => score(item.satisfaction.mean_score)],
    [t("repeatContacts"), (item) => percent(item.contacts.repeat_rate, 1)],
    [t("promisesKept"), (item) => percent(item.promises.kept_rate, 1)],
    [t("personWait"), (item) => seconds(item.person_requests.mean_seconds)],
    [t("recovered"), recovered],
    [t("poorQuality"), (item) => number(item.poor_quality.complaints + item.poor_quality.returns)],
    [t("handling"), (item) => seconds(item.handling.mean_handling_seconds)],
  ];
  const whole = found.whole;
  return (
    <Panel title={t("quality")}>
      {found.rows.length ? (
        <Figures label={t("quality")} heads={[word(group), ...columns.map(([title]) => title)]} rows={found.rows.map((item) => [name(item), ...columns.map(([, cell]) => cell(item))])} />
      ) : <Empty title={t("noFigures")} />}
      {whole && whole.satisfaction.given > 0 && (
        <dl class="facts">
          {whole.satisfaction.expectations.map((each) => <div key={each.expectation}><dt>{word(each.expectation)}</dt><dd>✓ {each.met} {t("met")} · × {each.missed} {t("missed")}</dd></div>)}
        </dl>
      )}
    </Panel>
  );
}
