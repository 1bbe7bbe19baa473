// What a customer got of us: to look at before calling them.
import type { JSX } from "preact";
import { api, ok } from "../api/client";
import { useReading } from "../live/reading";
import { href } from "../router";
import { Panel, When } from "../ui/parts";
import { spoken } from "../words/format";
import { t, word } from "../words/index";

export function ServiceRecord(props: { id: string }): JSX.Element | null {
  const path = { customer_id: props.id };
  const reading = useReading(`record ${props.id}`, () => ok(api.GET("/v1/customers/{customer_id}/service-record", { params: { path } })));
  const found = reading.data.value;
  if (!found) return null;
  const { promises, complaints, satisfaction, contacts, first_response: first } = found;
  const facts: [string, string][] = [
    [t("promises"), `○ ${promises.open} ${word("open")} · ■ ${promises.broken} ${word("broken")} · ✓ ${promises.kept} ${word("kept")}`],
    [t("complaints"), `${complaints.total} · ${complaints.open} ${word("open")}`],
    [t("satisfaction"), satisfaction.mean_score === null ? "–" : `${satisfaction.mean_score.toFixed(1)} / 5 (${satisfaction.given})`],
    [t("repeatContacts"), `${contacts.repeated} / ${contacts.contacts}`],
    [t("meanFirst"), first.mean_seconds === null ? "–" : spoken(first.mean_seconds)],
  ];
  return (
    <Panel title={t("serviceRecord")} label={t("serviceRecord")}>
      <dl class="facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      {promises.unkept.length > 0 && (
        <ul class="plain">
          {promises.unkept.map((each) => (
            <li key={each.id}>{each.state === "broken" ? "■" : "○"} {word(each.state)}: <a href={href("tickets", each.ticket_id)} dir="auto">{each.text}</a> <span class="muted small"><When at={each.due_at} /></span></li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
