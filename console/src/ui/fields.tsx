import type { JSX } from "preact";

/** What the company keeps of a ticket or customer beyond what every one of them has. */
export function Fields(props: { of: Record<string, unknown> }): JSX.Element {
  return (
    <dl class="facts fields">
      {Object.entries(props.of).map(([key, value]) => <div key={key}><dt>{key}</dt><dd dir="auto">{[value].flat().join(", ")}</dd></div>)}
    </dl>
  );
}
