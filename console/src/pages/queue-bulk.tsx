import type { JSX } from "preact";
import { type Patch, myAgent } from "../actions";
import { agents } from "../live/people";
import { Choice } from "../ui/parts";
import { PRIORITIES, STATUSES } from "../ui/picker";
import { t, word } from "../words/index";

/** What can be done to all tickets that are selected. */
export function BulkBar(props: { count: number; onAll: () => void; onClear: () => void; onChange: (patch: Patch) => void }): JSX.Element {
  const mine = myAgent();
  const choose = (label: string, options: [string, string][], patch: (value: string) => Patch): JSX.Element => (
    <Choice hideLabel label={label} value="" options={[["", `${label} …`], ...options]} onChoose={(value) => value && props.onChange(patch(value))} />
  );
  const staff = [...agents.value.values()].filter((each) => each.active);
  return (
    <div class="bulk" role="toolbar" aria-label={t("selected", { n: props.count })}>
      <strong>{t("selected", { n: props.count })}</strong>
      <button type="button" onClick={props.onAll}>{t("selectAll")}</button>
      {mine && <button type="button" class="primary" onClick={() => props.onChange({ assignee_id: mine })}>{t("take")}</button>}
      {choose(t("assign"), [["none", t("nobody")], ...staff.map((each): [string, string] => [each.id, each.name])], (value) => ({ assignee_id: value === "none" ? null : value }))}
      {choose(t("setPriority"), PRIORITIES.map((each) => [each, word(each)]), (value) => ({ priority: value as (typeof PRIORITIES)[number] }))}
      {choose(t("setStatus"), STATUSES.slice(1).map((each) => [each, word(each)]), (value) => ({ status: value as (typeof STATUSES)[number] }))}
      <button type="button" class="quiet push" onClick={props.onClear}>{t("clear")}</button>
    </div>
  );
}
