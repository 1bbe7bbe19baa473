// The small things that every page is made of.
import { type ComponentChildren, type JSX } from "preact";
import type { Refused } from "../api/client";
import { absolute, instant } from "../words/format";
import { t, word } from "../words/index";

export function Panel(props: { title?: ComponentChildren; actions?: ComponentChildren; class?: string; children: ComponentChildren; label?: string }): JSX.Element {
  return (
    <section class={`panel ${props.class ?? ""}`} aria-label={props.label}>
      {(props.title || props.actions) && (
        <header class="panel-head">
          {props.title && <h2>{props.title}</h2>}
          {props.actions}
        </header>
      )}
      {props.children}
    </section>
  );
}

export function Empty(props: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{props.title}</p>
      {props.children && <p class="muted">{props.children}</p>}
    </div>
  );
}

export function Skeleton(props: { lines?: number }): JSX.Element {
  return (
    <div class="skeleton" role="status" aria-label={t("loading")}>
      {Array.from({ length: props.lines ?? 4 }, (_, at) => <span key={at} class={`bone bone-${at % 3}`} />)}
    </div>
  );
}

/** What went wrong, as the service says it, with what to give to whoever looks into it. */
export function Failure(props: { of: Refused; retry?: () => void }): JSX.Element {
  const { problem, requestId, status } = props.of;
  return (
    <div class="failure" role="alert">
      <p class="failure-title">■ {problem?.title ?? t("failed")}</p>
      <p>{problem?.detail || (status === 0 ? t("unreachable") : `HTTP ${status}`)}</p>
      {problem?.errors?.map((each) => <p key={each.pointer} class="muted">{each.pointer}: {each.detail}</p>)}
      {requestId && <p class="muted small">{t("requestId", { id: requestId })}</p>}
      {props.retry && <button type="button" onClick={props.retry}>{t("retry")}</button>}
    </div>
  );
}

export function When(props: { at: string | null | undefined; precise?: boolean }): JSX.Element | null {
  if (!props.at) return <span class="muted">–</span>;
  return <time dateTime={props.at} title={absolute(props.at)}>{instant(props.at, props.precise)}</time>;
}

const MARKS: Record<string, string> = { urgent: "▲▲", high: "▲", normal: "", low: "▽" };

export function PriorityTag(props: { value: string }): JSX.Element {
  return <span class={`tag priority-${props.value}`}>{MARKS[props.value]} {word(props.value)}</span>;
}

export function Tag(props: { children: ComponentChildren; class?: string }): JSX.Element {
  return <span class={`tag ${props.class ?? ""}`}>{props.children}</span>;
}

/** What may be chosen is a word of the API, or a value with its name. */
export function Choice(props: {
  label: string; value: string; options: readonly (string | readonly [string, string])[]; onChoose: (value: string) => void; hideLabel?: boolean; id?: string;
}): JSX.Element {
  return (
    <label class="choice">
      <span class={props.hideLabel ? "hidden" : "choice-label"}>{props.label}</span>
      <select id={props.id} value={props.value} onChange={(event) => props.onChoose(event.currentTarget.value)}>
        {props.options.map((each) => (typeof each === "string" ? ([each, word(each)] as const) : each)).map(([value, text]) => <option key={value} value={value}>{text}</option>)}
      </select>
    </label>
  );
}
