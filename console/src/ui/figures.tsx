import type { ComponentChildren, JSX } from "preact";

/** A table of figures that scrolls by itself: what each row is of stands first in it. */
export function Figures(props: { label: string; heads: readonly string[]; rows: readonly (readonly ComponentChildren[])[]; class?: string }): JSX.Element {
  return (
    <div class={`table-wrap ${props.class ?? ""}`} tabIndex={0} role="region" aria-label={props.label}>
      <table class="figures-table">
        <thead><tr>{props.heads.map((head, at) => <th key={at} scope="col">{head}</th>)}</tr></thead>
        <tbody>
          {props.rows.map(([of, ...cells], at) => (
            <tr key={at}><th scope="row" dir="auto">{of}</th>{cells.map((cell, place) => <td key={place}>{cell}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
