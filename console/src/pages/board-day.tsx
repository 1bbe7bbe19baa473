// First answers of the last 24 hours, hour by hour.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { api, ok } from "../api/client";
import type { ResponseTimesReport } from "../api/wire";
import { serverNow } from "../live/clock";
import { useReading } from "../live/reading";
import { Empty, Failure, Panel, Skeleton } from "../ui/parts";
import { type Line, Plot } from "../ui/plot";
import { t } from "../words/index";

const HOUR = 3_600_000;

export function LastDay(props: { target: number | null }): JSX.Element {
  const reading = useReading("last-day", async () => {
    const to = Math.ceil(serverNow() / HOUR) * HOUR;
    const query = { from: new Date(to - 24 * HOUR).toISOString(), to: new Date(to).toISOString(), interval: "hour" as const };
    const { items } = (await ok(api.GET("/v1/reports/response-times", { params: { query } }))) as ResponseTimesReport;
    return { from: to - 24 * HOUR, items };
  }, (event) => event.type === "sla.met", 30_000);
  const found = reading.data.value;
  const drawn = useMemo(() => {
    if (!found) return null;
    const hours = Array.from({ length: 24 }, (_, at) => found.from + at * HOUR);
    const by = new Map(found.items.map((item) => [Date.parse(item.interval_start ?? ""), item]));
    const lines: Line[] = [
      { name: t("plotMean"), tone: "mean", values: hours.map((hour) => by.get(hour)?.mean_floor ?? null) },
      { name: t("plotP90"), tone: "upper", values: hours.map((hour) => by.get(hour)?.p90 ?? null) },
      ...(props.target === null ? [] : [{ name: t("plotTarget"), tone: "target" as const, values: hours.map(() => props.target) }]),
    ];
    return { times: hours.map((hour) => hour / 1000), lines };
  }, [found, props.target]);
  return (
    <Panel title={t("plotTitle")}>
      {reading.failure.value && !found ? (
        <Failure of={reading.failure.value} retry={() => void reading.reload()} />
      ) : !drawn ? (
        <Skeleton lines={4} />
      ) : found?.items.some((item) => item.answered) ? (
        <Plot times={drawn.times} lines={drawn.lines} unit={t("seconds")} label={t("plotTitle")} />
      ) : (
        <Empty title={t("plotEmpty")} />
      )}
    </Panel>
  );
}
