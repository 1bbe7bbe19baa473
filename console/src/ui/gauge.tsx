// A half circle from nothing to half as much again as the target, with the target marked on it.
import type { JSX } from "preact";

const RADIUS = 84;
const LENGTH = Math.PI * RADIUS;
const SPAN = 1.5;

function point(share: number, radius: number): string {
  const angle = Math.PI * (1 - share);
  return `${(110 + radius * Math.cos(angle)).toFixed(1)} ${(104 - radius * Math.sin(angle)).toFixed(1)}`;
}

export function Gauge(props: { value: number | null; target: number; tone: string; text: string; unit: string; label: string }): JSX.Element {
  const share = props.value === null ? 0 : Math.min(1, Math.max(0, props.value / (props.target * SPAN)));
  const path = `M 26 104 A ${RADIUS} ${RADIUS} 0 0 1 194 104`;
  return (
    <svg class={`gauge tone-${props.tone}`} viewBox="0 0 220 126" role="img" aria-label={props.label}>
      <path class="gauge-track" d={path} />
      {share > 0 && <path class="gauge-fill" d={path} stroke-dasharray={`${(LENGTH * share).toFixed(1)} ${LENGTH}`} />}
      <path class="gauge-target" d={`M ${point(1 / SPAN, 70)} L ${point(1 / SPAN, 100)}`} />
      <text class="gauge-value" x="110" y="92" text-anchor="middle">{props.text}</text>
      <text class="gauge-unit" x="110" y="116" text-anchor="middle">{props.unit}</text>
    </svg>
  );
}
