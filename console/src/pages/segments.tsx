// Customers grouped by what they need: by a rule, tried out before it is kept, or by name with a reason.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, once } from "../api/client";
import type { Schemas } from "../api/client";
import { customerName } from "../live/names";
import { useReading } from "../live/reading";
import { href, route } from "../router";
import { can } from "../session";
import { Dialog } from "../ui/dialog";
import { Field, Form } from "../ui/form";
import { Loaded } from "../ui/loaded";
import { Empty, Panel, Tag, When } from "../ui/parts";
import { flat, type Flat, RuleEditor, ruleOf, said } from "../ui/rule";
import { attempt } from "../ui/toast";
import { number } from "../words/format";
import { t, word } from "../words/index";

type Segment = Schemas["SegmentOut"];
const ABOUT = /^segment/;

export function Segments(): JSX.Element {
  const { id } = route.value;
  const writing = useSignal<Segment | "new" | null>(null);
  const reading = useReading("segments", async () => (await ok(api.GET("/v1/segments", { params: { query: { limit: 200 } } }))).items, (event) => ABOUT.test(event.type));
  const chosen = reading.data.value?.find((each) => each.id === id);
  return (
    <div class="page">
      <div class="page-head">
        <h1>{t("segments")}</h1>
        {can("segments:write") && <button type="button" class="primary push" onClick={() => (writing.value = "new")}>+ {t("newSegment")}</button>}
      </div>
      <Jobs />
      <Panel class="flush">
        <Loaded of={reading}>
          {(rows) => rows.length ? (
            <div class="table-wrap" tabIndex={0} role="region" aria-label={t("segments")}>
              <table>
                <thead><tr><th scope="col">{t("name")}</th><th scope="col">{t("need")}</th><th scope="col">{t("rule")}</th><th scope="col">{t("key")}</th><th scope="col"><span class="hidden">{t("change")}</span></th></tr></thead>
                <tbody>
                  {rows.map((each) => (
                    <tr key={each.id} class={each.id === id ? "row-chosen" : ""}>
                      <th scope="row" dir="auto"><a href={href("segments", each.id)}>{each.name}</a> {each.self_service && <Tag>{t("selfService")}</Tag>}</th>
                      <td dir="auto">{each.need}</td><td dir="auto">{said(each.rule)}</td><td class="muted">{each.key}</td>
                      <td>{can("segments:write") && !each.archived_at && <button type="button" onClick={() => (writing.value = each)}>{t("change")}</button>}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          ) : <Empty title={t("noSegments")}>{t("noSegmentsHint")}</Empty>}
        </Loaded>
      </Panel>
      {chosen && <Members key={chosen.id} segment={chosen} />}
      {writing.value && <SegmentForm segment={writing.value === "new" ? null : writing.value} onClose={() => (writing.value = null)} onDone={() => void reading.reload()} />}
    </div>
  );
}

function Members(props: { segment: Segment }): JSX.Element {
  const path = { segment_id: props.segment.id };
  const reading = useReading(
    `members ${path.segment_id}`,
    async () => {
      const [members, overrides] = await Promise.all([
        ok(api.GET("/v1/segments/{segment_id}/members", { params: { path, query: { limit: 25 } } })),
        ok(api.GET("/v1/segments/{segment_id}/overrides", { params: { path, query: { limit: 25 } } })),
      ]);
      return { members: members.items, more: members.next_cursor !== null, overrides: overrides.items };
    },
    (event) => ABOUT.test(event.type),
    2000,
  );
  return (
    <div class="columns">
      <Panel title={`${t("members")}: ${props.segment.name}`}>
        <Loaded of={reading}>
          {(found) => found.members.length ? (
            <ul class="plain">
              {found.members.map((each) => <li key={each.customer_id}><a dir="auto" href={href("customers", each.customer_id)}>{customerName(each.customer_id)}</a> {t(each.reason === "rule" ? "byRule" : "byOverride")} <span class="muted small"><When at={each.since} /></span></li>)}
              {found.more && <li class="muted">…</li>}
            </ul>
          ) : <Empty title={t("noMembers")} />}
        </Loaded>
      </Panel>
      <Panel title={t("overrides")}>
        <Loaded of={reading}>
          {(found) => found.overrides.length ? (
            <ul class="plain">{found.overrides.map((each) => <li key={each.id} class={each.ended_at ? "muted" : ""}>{word(each.effect)} <a href={href("customers", each.customer_id)}>{customerName(each.customer_id)}</a> <q dir="auto">{each.reason}</q></li>)}</ul>
          ) : <Empty title={t("noOverrides")} />}
        </Loaded>
      </Panel>
    </div>
  );
}

function Jobs(): JSX.Element | null {
  const reading = useReading("segment-jobs", async () => (await ok(api.GET("/v1/segment-jobs", { params: { query: { limit: 5 } } }))).items, (event) => ABOUT.test(event.type), 1000);
  const running = reading.data.value?.filter((job) => job.state !== "done") ?? [];
  if (!running.length) return null;
  return (
    <Panel title={t("jobs")}>
      {running.map((job) => <p key={job.id}>{word(job.kind)} <progress max={job.customers_total ?? undefined} value={job.customers_seen} aria-label={word(job.kind)} /> {number(job.customers_seen)}{job.customers_total === null ? "" : ` / ${number(job.customers_total)}`}</p>)}
    </Panel>
  );
}

function SegmentForm(props: { segment: Segment | null; onClose: () => void; onDone: () => void }): JSX.Element {
  const { segment } = props;
  const begun = flat(segment?.rule ?? null);
  const rule = useSignal<Flat | null>(begun);
  const preview = useSignal<{ count: number; sample: string[] } | null>(null);
  const tryOut = async (): Promise<void> => {
    const value = rule.value;
    if (value) preview.value = (await attempt(() => ok(api.POST("/v1/segments/preview", { params: { header: once() }, body: { rule: ruleOf(value) } })))) ?? null;
  };
  const submit = async (form: FormData): Promise<void> => {
    const text = (name: string): string => String(form.get(name) ?? "").trim();
    const body = { name: text("name"), need: text("need") || null, ...(rule.value ? { rule: ruleOf(rule.value) } : {}) };
    const made = await attempt(() =>
      segment
        ? ok(api.PATCH("/v1/segments/{segment_id}", { params: { path: { segment_id: segment.id }, header: { "If-Match": `"${segment.version}"` } }, body }))
        : ok(api.POST("/v1/segments", { params: { header: once() }, body: { ...body, key: text("key") } })),
    );
    if (!made) return;
    props.onDone();
    props.onClose();
  };
  return (
    <Dialog title={segment ? segment.name : t("newSegment")} onClose={props.onClose} class="wide">
      <Form onSend={submit}>
        {!segment && <Field label={t("key")}><input name="key" required pattern="[a-z0-9_\-]+" maxLength={60} autoFocus /></Field>}
        <Field label={t("name")}><input name="name" required maxLength={200} defaultValue={segment?.name ?? ""} /></Field>
        <Field label={t("need")}><input name="need" maxLength={200} defaultValue={segment?.need ?? ""} /></Field>
        {rule.value ? <RuleEditor value={rule.value} onChange={(value) => { rule.value = value; preview.value = null; }} /> : <p class="muted">{said(segment?.rule ?? null)} · {t("ruleNested")}</p>}
        <p class="row" role="status">
          {rule.value && <button type="button" onClick={() => void tryOut()}>{t("preview")}</button>}
          {preview.value && <strong>{t("wouldHold", { n: preview.value.count })}</strong>}
        </p>
        <button type="submit" class="primary">{t("save")}</button>
      </Form>
    </Dialog>
  );
}
