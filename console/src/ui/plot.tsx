// Lines over time by uPlot, which is fetched when the first one is drawn. The figures are in a table below it as well.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { darkness } from "../theme";
import { language, t } from "../words/index";
import { number, plotTime } from "../words/format";

export interface Line {
  name: string;
  tone: "mean" | "upper" | "target";
  values: (number | null)[];
}

const WIDTHS = { mean: 2, upper: 1.5, target: 1.5 };

export function Plot(props: { times: number[]; lines: Line[]; unit: string; day?: boolean; height?: number; label: string }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const { times, lines, unit } = props;
  const dark = darkness.value;
  const spoken = language.value;
  useEffect(() => {
    const node = place.current;
    if (!node) return undefined;
    let ended = false;
    let end = (): void => undefined;
    void import("uplot").then(({ default: UPlot }) => {
      if (ended) return;
      const ink = getComputedStyle(node);
      // A canvas knows no variables: the browser works each of them out on an element.
      const colour = (name: string): string => {
        node.className = `plot-place ink-${name}`;
        const found = ink.color;
        node.className = "plot-place";
        return found;
      };
      const axis = { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: `12px ${ink.fontFamily}` };
      const plot = new UPlot(
        {
          width: node.clientWidth,
          height: props.height ?? 190,
          legend: { show: false },
          cursor: { show: false },
          padding: [8, 8, 0, 0],
          axes: [
            { ...axis, grid: { show: false }, space: 64, values: (_, at) => at.map((each) => plotTime(each, props.day ?? false)) },
            { ...axis, size: 48, space: 34, values: (_, at) => at.map((each) => (Number.isInteger(each) ? number(each) : "")) },
          ],
          scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.08, 1)] } },
          series: [
            {},
            ...lines.map((line) => ({
              label: line.name, stroke: colour(`plot-${line.tone}`), width: WIDTHS[line.tone], points: { show: false }, spanGaps: false,
              ...(line.tone === "upper" ? { dash: [4, 4] } : {}),
            })),
          ],
        },
        [times, ...lines.map((line) => line.values)],
        node,
      );
      const sized = new ResizeObserver(() => plot.setSize({ width: node.clientWidth, height: props.height ?? 190 }));
      sized.observe(node);
      end = () => (sized.disconnect(), plot.destroy());
    }, () => undefined); // the connection is gone: the figures below are there without it
    return () => {
      ended = true;
      end();
    };
  }, [times, lines, dark, spoken]);
  return (
    <figure class="plot" aria-label={props.label}>
      <div class="legend" aria-hidden="true">
        {lines.map((line) => <span key={line.name} class={`key key-${line.tone}`}>{line.name}</span>)}
        <span class="muted">{unit}</span>
      </div>
      <div class="plot-place" ref={place} aria-hidden="true" />
      <details>
        <summary>{t("figures")}</summary>
        <div class="table-wrap figures" tabIndex={0} role="region" aria-label={props.label}>
          <table>
            <thead><tr><th scope="col">{t("time")}</th>{lines.map((line) => <th key={line.name} scope="col">{line.name}</th>)}</tr></thead>
            <tbody>
              {times.map((time, at) => (
                <tr key={time}>
                  <th scope="row">{plotTime(time, props.day ?? false)}</th>
                  {lines.map((line) => <td key={line.name}>{line.values[at] == null ? "–" : number(line.values[at] ?? 0, 1)}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
