// Rules in words, and a small editor for those that are one list of conditions.
import type { JSX } from "preact";
import type { Schemas } from "../api/client";
import { t, word } from "../words/index";
import { Choice } from "./parts";

export type Rule = Schemas["RuleIn"];
type Condition = Schemas["ConditionIn"];

/** A rule as a sentence. */
export function said(rule: Rule | null): string {
  if (!rule) return t("noRule");
  if ("all" in rule) return rule.all.length ? rule.all.map(inner).join(` ${t("and")} `) : t("everybody");
  if ("any" in rule) return rule.any.map(inner).join(` ${t("or")} `);
  if ("not" in rule) return `${t("not")} ${inner(rule.not)}`;
  const value = Array.isArray(rule.value) ? rule.value.join(", ") : String(rule.value);
  return `${rule.field.replace("attributes.", "")} ${word(`op_${rule.op}`)} ${value}`;
}

const inner = (rule: Rule): string => ("field" in rule ? said(rule) : `(${said(rule)})`);

export interface Flat {
  kind: "all" | "any";
  conditions: Condition[];
}

/** The rule as one list of conditions; null where it is more than that. */
export function flat(rule: Rule | null): Flat | null {
  if (!rule) return { kind: "all", conditions: [] };
  if ("field" in rule) return { kind: "all", conditions: [rule] };
  const [kind, rules] = "all" in rule ? (["all", rule.all] as const) : "any" in rule ? (["any", rule.any] as const) : [null, []];
  if (kind === null || !rules.every((each): each is Condition => "field" in each)) return null;
  return { kind, conditions: rules as Condition[] };
}

export const ruleOf = ({ kind, conditions }: Flat): Rule => (kind === "all" ? { all: conditions } : { any: conditions });

const OPS = ["eq", "ne", "in", "not_in", "lt", "lte", "gt", "gte", "contains", "starts_with", "exists"] as const;
const FIELDS = [
  "customer.region", "customer.language", "customer.email", "customer.attributes.plan", "customer.open_tickets", "customer.tickets_last_30_days",
  "customer.breaches_last_90_days", "customer.complaints", "organization.name", "organization.region",
];

function parse(op: string, text: string): Condition["value"] {
  const one = (value: string): string | number | boolean => (value === "true" ? true : value === "false" ? false : value !== "" && !Number.isNaN(Number(value)) ? Number(value) : value);
  return op === "in" || op === "not_in" ? text.split(",").map((each) => one(each.trim())) : one(text.trim());
}

export function RuleEditor(props: { value: Flat; onChange: (value: Flat) => void }): JSX.Element {
  const { value, onChange } = props;
  const change = (at: number, part: Partial<Condition>): void => onChange({ ...value, conditions: value.conditions.map((each, index) => (index === at ? { ...each, ...part } : each)) });
  return (
    <fieldset class="rule">
      <legend class="small muted">{t("rule")}</legend>
      <Choice label={t("matches")} value={value.kind} options={[["all", t("allOf")], ["any", t("anyOf")]]} onChoose={(kind) => onChange({ ...value, kind: kind as "all" })} />
      <datalist id="rule-fields">{FIELDS.map((field) => <option key={field} value={field} />)}</datalist>
      {value.conditions.map((condition, at) => (
        <div key={at} class="row">
          <input aria-label={t("field")} list="rule-fields" value={condition.field} onChange={(event) => change(at, { field: event.currentTarget.value.trim() })} />
          <Choice hideLabel label={t("operator")} value={condition.op} options={OPS.map((op) => [op, word(`op_${op}`)] as const)} onChoose={(op) => change(at, { op: op as Condition["op"] })} />
          <input aria-label={t("value")} value={Array.isArray(condition.value) ? condition.value.join(", ") : String(condition.value)} onChange={(event) => change(at, { value: parse(condition.op, event.currentTarget.value) })} />
          <button type="button" class="quiet" aria-label={t("remove")} onClick={() => onChange({ ...value, conditions: value.conditions.filter((_, index) => index !== at) })}>✕</button>
        </div>
      ))}
      <button type="button" onClick={() => onChange({ ...value, conditions: [...value.conditions, { field: "customer.attributes.plan", op: "eq", value: "" }] })}>+ {t("condition")}</button>
    </fieldset>
  );
}
