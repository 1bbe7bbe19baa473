// How the service itself does: health, webhooks and how their deliveries went, jobs, automations, keys.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, BASE, ok, once } from "../api/client";
import type { Schemas } from "../api/client";
import { usePolling, useReading } from "../live/reading";
import { can } from "../session";
import { Form } from "../ui/form";
import { Loaded } from "../ui/loaded";
import { Choice, Empty, Panel, Skeleton, When } from "../ui/parts";
import { attempt, say } from "../ui/toast";
import { number, spoken } from "../words/format";
import { t, word } from "../words/index";
import { Automations } from "./operations-automations";

export function Operations(): JSX.Element {
  return (
    <div class="page">
      <div class="page-head"><h1>{t("operations")}</h1></div>
      <div class="columns"><Health /><Automations /></div>
      {can("webhooks:read") && <Webhooks />}
      <Jobs />
      {can("keys:read") && <Keys />}
    </div>
  );
}

async function metric(name: string): Promise<number | null> {
  const text = await fetch(`${BASE}/metrics`).then((answer) => answer.text()).catch(() => "");
  const found = text.split("\n").find((line) => line.startsWith(name));
  return found ? Number(found.split(" ").pop()) : null;
}

function Health(): JSX.Element {
  const reading = useReading("health", async () => {
    const answer = await fetch(`${BASE}/readyz`).catch(() => null);
    const body = (await answer?.json().catch(() => null)) as Schemas["Readiness"] | null;
    return { checks: body?.checks ?? [], listeners: await metric("ninety_stream_listeners") };
  }, () => true, 10_000);
  const found = reading.data.value;
  return (
    <Panel title={t("health")}>
      {!found ? <Skeleton /> : (
        <ul class="plain">
          {found.checks.map((check) => <li key={check.name} class={check.ok ? "tone-kept" : "tone-late"}><span aria-hidden="true">{check.ok ? "✓" : "■"}</span> {word(check.name)} {check.ok ? t("healthy") : t("unhealthy")}</li>)}
          {found.listeners !== null && <li class="muted">{t("listeners")}: {number(found.listeners)}</li>}
        </ul>
      )}
    </Panel>
  );
}

function Webhooks(): JSX.Element {
  const chosen = useSignal<string | null>(null);
  const reading = useReading("webhooks", async () => (await ok(api.GET("/v1/webhooks", { params: { query: { limit: 200 } } }))).items, (event) => event.type.startsWith("webhook."));
  const test = async (id: string): Promise<void> => {
    if (await attempt(() => ok(api.POST("/v1/webhooks/{webhook_id}/test", { params: { path: { webhook_id: id }, header: once() } })))) say(t("sent"));
    chosen.value = id;
  };
  return (
    <Panel title={t("webhooks")}>
      <Loaded of={reading}>
        {(rows) => rows.length ? (
          <ul class="plain">
            {rows.map((each) => (
              <li key={each.id}>
                <span dir="auto">{each.url}</span> <span class="muted small">{each.types.join(", ")} {each.active ? "" : `· ${t("off")}`}</span>{" "}
                {can("webhooks:write") && <button type="button" onClick={() => void test(each.id)}>{t("test")}</button>} <button type="button" aria-expanded={chosen.value === each.id} onClick={() => (chosen.value = chosen.value === each.id ? null : each.id)}>{t("deliveries")}</button>
                {chosen.value === each.id && <Deliveries id={each.id} />}
              </li>
            ))}
          </ul>
        ) : <Empty title={t("noWebhooks")}>{t("noWebhooksHint")}</Empty>}
      </Loaded>
    </Panel>
  );
}

const TONES: Record<string, [string, string]> = { delivered: ["kept", "✓"], pending: ["none", "○"], dead: ["late", "■"] };

function Deliveries(props: { id: string }): JSX.Element {
  const path = { webhook_id: props.id };
  const reading = useReading(`deliveries ${props.id}`, async () => (await ok(api.GET("/v1/webhooks/{webhook_id}/deliveries", { params: { path, query: { limit: 25 } } }))).items, () => true, 2000);
  usePolling(reading, (found) => found.some((each) => each.state === "pending"), 2000);
  const again = async (delivery_id: string): Promise<void> => {
    await attempt(() => ok(api.POST("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", { params: { path: { ...path, delivery_id }, header: once() } })));
    await reading.reload();
  };
  return (
    <Loaded of={reading}>
      {(found) => found.length ? (
        <div class="table-wrap" tabIndex={0} role="region" aria-label={t("deliveries")}>
          <table>
            <tbody>
              {found.map((each) => {
                const [tone, mark] = TONES[each.state] ?? ["none", ""];
                return (
                  <tr key={each.id}>
                    <td class={`tone-${tone}`}>{mark} {word(each.state)}</td><td>{each.type}</td><td>{each.attempts} ×</td><td>{each.status ?? (each.failure && word(`failure_${each.failure}`))}</td><td dir="auto"><span class="clip answer">{each.answer}</span></td><td><When at={each.attempted_at} precise /></td>
                    <td>{can("webhooks:write") && each.state !== "pending" && <button type="button" onClick={() => void again(each.id)}>{t("redeliver")}</button>}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      ) : <Empty title={t("noneSuch")}>{t("noDeliveriesHint")}</Empty>}
    </Loaded>
  );
}

function Jobs(): JSX.Element | null {
  const reading = useReading("sla-jobs", async () => (await ok(api.GET("/v1/sla-jobs", { params: { query: { limit: 10 } } }))).items, (event) => event.type.startsWith("sla_"), 2000);
  const rows = reading.data.value;
  if (!rows?.length) return null;
  return (
    <Panel title={t("jobs")}>
      <ul class="plain">{rows.map((job) => <li key={job.id}>{word(job.kind)}: {word(job.state)}, {number(job.tickets_seen)} {job.tickets_total === null ? "" : `/ ${number(job.tickets_total)}`} <span class="muted small"><When at={job.created_at} />{job.finished_at && ` · ${spoken((Date.parse(job.finished_at) - Date.parse(job.created_at)) / 1000)}`}</span></li>)}</ul>
    </Panel>
  );
}

const ROLES = ["admin", "service"] as const;

function Keys(): JSX.Element {
  const shown = useSignal<string | null>(null);
  const role = useSignal<string>("admin");
  const reading = useReading("keys", async () => (await ok(api.GET("/v1/api-keys", { params: { query: { limit: 100 } } }))).items, (event) => event.type.startsWith("api_key."));
  const make = async (filled: FormData, form: HTMLFormElement): Promise<void> => {
    const name = String(filled.get("name"));
    const scopes = role.value === "service" ? (["tickets:read", "tickets:write"] as const) : null;
    const body = { name, role: role.value as "admin", ...(scopes ? { scopes: [...scopes] } : {}) };
    const made = await attempt(() => ok(api.POST("/v1/api-keys", { params: { header: once() }, body })));
    shown.value = made?.key ?? null;
    if (made) form.reset();
    await reading.reload();
  };
  const revoke = async (id: string): Promise<void> => {
    if (!window.confirm(t("reallyRevoke"))) return;
    await attempt(() => ok(api.DELETE("/v1/api-keys/{key_id}", { params: { path: { key_id: id } } })));
    await reading.reload();
  };
  return (
    <Panel title={t("keys")}>
      {can("keys:write") && (
        <Form class="row" onSend={make}>
          <input name="name" required maxLength={200} aria-label={t("name")} placeholder={t("name")} />
          <Choice hideLabel label={t("role")} value={role.value} options={ROLES} onChoose={(value) => (role.value = value)} />
          <button type="submit">+ {t("newKey")}</button>
        </Form>
      )}
      {shown.value && <p class="notice" role="status">{t("shownOnce")} <code>{shown.value}</code> <button type="button" onClick={() => (shown.value = null)}>{t("close")}</button></p>}
      <Loaded of={reading}>
        {(found) => (
          <ul class="plain">
          {found.map((each) => (
            <li key={each.id} class={each.revoked_at ? "muted" : ""}><span dir="auto">{each.name}</span> <span class="muted small">{word(each.role)} · <When at={each.created_at} />{each.revoked_at && ` · ${t("revoked")}`}</span> {can("keys:write") && !each.revoked_at && <button type="button" class="link" onClick={() => void revoke(each.id)}>{t("revoke")}</button>}</li>
          ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}
