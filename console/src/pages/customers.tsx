// Who is helped: found by name, e-mail or id; in which segments, why and since when; and what they asked.
import type { JSX } from "preact";
import { api, ok, Refused } from "../api/client";
import type { Customer } from "../api/wire";
import { useReading } from "../live/reading";
import { href, route, setParams } from "../router";
import { can } from "../session";
import { Empty, Failure, Panel, Skeleton, Tag, When } from "../ui/parts";
import { named } from "../words/format";
import { t, word } from "../words/index";
import { ServiceRecord } from "./service-record";

export function Customers(): JSX.Element {
  const { id } = route.value;
  return id ? <OneCustomer key={id} id={id} /> : <CustomerList />;
}

/** By the beginnings of words of the name, e-mail or external id; without any, the first ones. */
async function find(words: string): Promise<Customer[]> {
  return (await ok(api.GET("/v1/customers", { params: { query: { limit: 100, ...(words ? { q: words } : {}) } } }))).items;
}

function CustomerList(): JSX.Element {
  const words = route.value.params.get("q") ?? "";
  const reading = useReading(`customers ${words}`, () => find(words), (event) => event.type.startsWith("customer."), 2000);
  const rows = reading.data.value;
  return (
    <div class="page">
      <div class="page-head">
        <h1>{t("customers")}</h1>
        <form role="search" onSubmit={(event) => { event.preventDefault(); setParams({ q: String(new FormData(event.currentTarget).get("q")).trim() }); }}>
          <label class="search"><span class="hidden">{t("search")}</span><input name="q" type="search" defaultValue={words} placeholder={t("customerSearch")} maxLength={200} /></label>
        </form>
      </div>
      <Panel class="flush">
        {reading.failure.value ? <Failure of={reading.failure.value} retry={() => void reading.reload()} /> : !rows ? <Skeleton lines={8} /> : rows.length ? (
          <div class="table-wrap" tabIndex={0} role="region" aria-label={t("customers")}>
            <table>
              <thead><tr><th scope="col">{t("name")}</th><th scope="col">{t("externalId")}</th><th scope="col">{t("email")}</th><th scope="col">{t("region")}</th><th scope="col">{t("created")}</th></tr></thead>
              <tbody>
                {rows.map((each) => (
                  <tr key={each.id}>
                    <th scope="row" dir="auto"><a href={href("customers", each.id)}>{each.erased_at ? t("erased") : named(each)}</a></th>
                    <td dir="auto">{each.external_id}</td><td dir="auto">{each.email}</td><td>{each.region}</td><td><When at={each.created_at} /></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        ) : <Empty title={t("noneFoundCustomers")}>{t("customerSearch")}</Empty>}
      </Panel>
    </div>
  );
}

function OneCustomer(props: { id: string }): JSX.Element {
  const { id } = props;
  const path = { customer_id: id };
  const reading = useReading(
    `customer page ${id}`,
    async () => {
      const [customer, segments, tickets] = await Promise.all([
        ok(api.GET("/v1/customers/{customer_id}", { params: { path } })),
        can("segments:read") ? ok(api.GET("/v1/customers/{customer_id}/segments", { params: { path, query: { past: true } } })) : { items: [] },
        ok(api.GET("/v1/tickets", { params: { query: { customer_id: [id], sort: "-created_at", limit: 50 } } })),
      ]);
      return { customer, segments: segments.items, tickets: tickets.items };
    },
    (event) => event.subject === id || event.type.startsWith("ticket."),
    2000,
  );
  const found = reading.data.value;
  if (!found) return reading.failure.value instanceof Refused ? <Failure of={reading.failure.value} retry={() => void reading.reload()} /> : <Skeleton lines={8} />;
  const { customer } = found;
  const facts: [string, string | null][] = [[t("email"), customer.email], [t("externalId"), customer.external_id], [t("region"), customer.region], [t("languageOf"), customer.language]];
  return (
    <div class="page">
      <div class="page-head"><h1 dir="auto">{customer.erased_at ? t("erased") : named(customer)}</h1>{customer.merged_into && <a href={href("customers", customer.merged_into)}>{t("mergedInto")}</a>}</div>
      <div class="columns">
        <Panel title={t("details")}>
          <dl class="facts">
            {facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd dir="auto">{value ?? "–"}</dd></div>)}
            {Object.entries(customer.attributes).map(([name, value]) => <div key={name}><dt>{name}</dt><dd dir="auto">{String(value)}</dd></div>)}
          </dl>
        </Panel>
        <Panel title={t("segments")}>
          {found.segments.length ? (
            <ul class="plain">
              {found.segments.map((each) => (
                <li key={each.segment_id + each.since} class={each.until ? "muted" : ""}>
                  <Tag>{each.name}</Tag> {t(each.reason === "rule" ? "byRule" : "byOverride")} {each.override_reason && <q>{each.override_reason}</q>} <span class="muted small"><When at={each.since} />{each.until && <> – <When at={each.until} /></>}</span>
                </li>
              ))}
            </ul>
          ) : <Empty title={t("inNoSegment")} />}
        </Panel>
      </div>
      {can("service_records:read") && <ServiceRecord id={id} />}
      <Panel title={t("ticketsOf")}>
        {found.tickets.length ? (
          <div class="table-wrap">
            <table>
              <tbody>
                {found.tickets.map((each) => (
                  <tr key={each.id}><td class="muted">{each.number}</td><td><a href={href("tickets", each.id)} dir="auto">{each.subject}</a></td><td>{word(each.status)}</td><td>{word(each.channel)}</td><td><When at={each.created_at} /></td></tr>
                ))}
              </tbody>
            </table>
          </div>
        ) : <Empty title={t("noneFound")} />}
      </Panel>
    </div>
  );
}
