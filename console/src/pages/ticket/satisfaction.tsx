// What the customer said of how it was resolved.
import type { JSX } from "preact";
import { api, ok } from "../../api/client";
import { useReading } from "../../live/reading";
import { Panel, When } from "../../ui/parts";
import { t, word } from "../../words/index";

export function Satisfaction(props: { id: string }): JSX.Element | null {
  const path = { ticket_id: props.id };
  const reading = useReading(
    `satisfaction ${props.id}`,
    async () => (await ok(api.GET("/v1/tickets/{ticket_id}/satisfaction", { params: { path } }))).items,
    (event) => event.ticketid === props.id && event.type === "satisfaction.given",
  );
  const given = reading.data.value ?? [];
  if (!given.length) return null;
  return (
    <Panel title={t("satisfaction")} label={t("satisfaction")}>
      <ul class="plain">
        {given.map((each) => (
          <li key={each.id}>
            <strong>{each.score} / 5</strong> <span class="muted small"><When at={each.given_at} /></span>
            {each.comment && <div dir="auto"><q>{each.comment}</q></div>}
            {each.met.length > 0 && <div class="small">✓ {t("met")}: {each.met.map(word).join(", ")}</div>}
            {each.missed.length > 0 && <div class="small">× {t("missed")}: {each.missed.map(word).join(", ")}</div>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
