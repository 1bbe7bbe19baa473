// What is promised to whom: policies in the order in which they are tried, and what would happen to open tickets.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, once } from "../api/client";
import type { Schemas } from "../api/client";
import { useReading } from "../live/reading";
import { href } from "../router";
import { can, me } from "../session";
import { Field, Form } from "../ui/form";
import { Loaded } from "../ui/loaded";
import { Empty, Panel, Tag, When } from "../ui/parts";
import { PRIORITIES } from "../ui/picker";
import { said } from "../ui/rule";
import { CHANNELS } from "./queue-filters";
import { attempt } from "../ui/toast";
import { spoken } from "../words/format";
import { t, word } from "../words/index";

type Policy = Schemas["SlaPolicyOut"];
type Job = Schemas["SlaJobOut"];

export function Policies(): JSX.Element {
  const reading = useReading("policies", async () => (await ok(api.GET("/v1/sla-policies", { params: { query: { limit: 200 } } }))).items.filter((each) => !each.archived_at).sort((a, b) => a.position - b.position), (event) => event.type.startsWith("sla_policy."));
  return (
    <div class="page">
      <div class="page-head"><h1>{t("policies")}</h1><span class="muted">{t("policiesHint")}</span>{can("sla:write") && <a class="push" href={href("what-if")}>{t("whatIf")} …</a>}</div>
      <WhichOne />
      <Loaded of={reading}>
        {(rows) => rows.length ? (
          <ol class="policies">{rows.map((policy) => <li key={policy.id}><OnePolicy policy={policy} /></li>)}</ol>
        ) : <Empty title={t("noPolicies")}>{t("noPoliciesHint")}</Empty>}
      </Loaded>
    </div>
  );
}

function conditions(policy: Policy): string {
  const { all, any } = policy.conditions;
  const parts = [...(all.length ? [said({ all })] : []), ...(any.length ? [said({ any })] : [])];
  return parts.length ? parts.join(` ${t("and")} `) : t("everyTicket");
}

function OnePolicy(props: { policy: Policy }): JSX.Element {
  const { policy } = props;
  const counted = useSignal<Job | null>(null);
  const admin = me.value?.role === "admin" && can("sla:write");
  const reapply = async (dry_run: boolean): Promise<void> => {
    counted.value = (await attempt(() => ok(api.POST("/v1/sla-policies/{policy_id}/reapply", { params: { path: { policy_id: policy.id }, header: once() }, body: { dry_run } })))) ?? null;
  };
  return (
    <Panel title={<span dir="auto">{policy.name}</span>} actions={<span class="muted small">{policy.key} · v{policy.version} · <When at={policy.created_at} /></span>}>
      <p dir="auto">{conditions(policy)}</p>
      <ul class="targets">
        {policy.targets.map((target, at) => (
          <li key={at}>
            <strong>{word(target.metric)}</strong> {target.priority && <Tag>{word(target.priority)}</Tag>} {t("within")} <strong>{spoken(target.seconds)}</strong>
            <span class="muted"> {target.hours === "business" ? t("businessHours") : ""} {target.pause_on.length ? `· ${t("pausedOn")} ${target.pause_on.map(word).join(", ")}` : ""} {target.warn_at_percent.length ? `· ▲ ${target.warn_at_percent.join(", ")} %` : ""}</span>
          </li>
        ))}
      </ul>
      <p class="row">
        {policy.calendar_id && <a href={href("calendars")}>{t("calendars")}</a>}
        {admin && <button type="button" onClick={() => void reapply(true)}>{t("dryRun")}</button>}
        {counted.value && <span role="status">{t("wouldChange", { tickets: counted.value.tickets, clocks: counted.value.clocks, breaches: counted.value.breaches })}</span>}
        {admin && counted.value?.state === "counted" && <button type="button" class="primary" onClick={() => void reapply(false)}>{t("reapply")}</button>}
      </p>
    </Panel>
  );
}

const FACTS = [
  ["ticket.priority", "priority", PRIORITIES], ["ticket.channel", "channel", CHANNELS],
] as const;

/** Which policy covers a ticket, or one that would be opened like this, and why the others do not. */
function WhichOne(): JSX.Element {
  const found = useSignal<Schemas["SlaPolicyExplanation"] | null>(null);
  const submit = async (form: FormData): Promise<void> => {
    const given = [...form].filter(([name, value]) => name !== "number" && value !== "");
    const about = async (): Promise<Schemas["ExplainIn"]> => {
      const number = Number(form.get("number"));
      if (!number) return { facts: Object.fromEntries(given) };
      return { ticket_id: (await ok(api.GET("/v1/tickets/by-number/{number}", { params: { path: { number } } }))).id };
    };
    found.value = (await attempt(async () => ok(api.POST("/v1/sla-policies/explain", { params: { header: once() }, body: await about() })))) ?? null;
  };
  return (
    <Panel title={t("whichCovers")}>
      <Form class="row" onSend={submit}>
        <Field inline label={t("number")}><input name="number" type="number" min={1} /></Field>
        <span class="muted">{t("orFacts")}</span>
        {FACTS.map(([name, title, values]) => (
          <Field inline key={name} label={t(title)}><select name={name}><option value="">{t("any")}</option>{values.map((each) => <option key={each} value={each}>{word(each)}</option>)}</select></Field>
        ))}
        <button type="submit">{t("ask")}</button>
      </Form>
      {found.value && (
        <div role="status">
          <ol class="tried">
            {found.value.policies.map((policy) => (
              <li key={policy.id} class={policy.taken ? "taken" : "muted"}>{policy.taken ? "✓" : policy.matches ? "○" : "×"} {policy.name}{policy.failed && ` (${t("failedOn")} ${said(policy.failed)})`}</li>
            ))}
          </ol>
          {!found.value.policies.some((policy) => policy.taken) && <p>{t("noneCovers")}</p>}
        </div>
      )}
    </Panel>
  );
}
