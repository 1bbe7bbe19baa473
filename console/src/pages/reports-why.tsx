// Why a goal's mean is another one than in the window before: in parts that add up, each with the tickets behind it.
import type { JSX } from "preact";
import { api, ok } from "../api/client";
import type { Schemas } from "../api/client";
import type { Goal } from "../api/wire";
import { useReading } from "../live/reading";
import { href } from "../router";
import { Loaded } from "../ui/loaded";
import { number, spoken } from "../words/format";
import { t, word } from "../words/index";

type Behind = Schemas["TicketSeconds"][];
const SHOWN = 3;

export function GoalWhy(props: { goal: Goal }): JSX.Element {
  const { goal } = props;
  const reading = useReading(`why ${goal.id}`, () => ok(api.GET("/v1/service-goals/{goal_id}/why", { params: { path: { goal_id: goal.id } } })));
  return (
    <div class="goal-history">
      <Loaded of={reading}>
        {(found) => (
          <>
            <p>{found.in_words}</p>
            <Parts label={t("whereSeconds")} rows={found.parts.map((each) => ({ name: word(each.part), seconds: each.change_seconds, tickets: each.tickets }))} />
            {found.causes ? (
              <Parts
                label={t("causes")}
                rows={[
                  ...found.causes.items.map((each) => ({ name: word(each.cause), seconds: each.effect_seconds, tickets: each.tickets, strong: each.named })),
                  { name: t("rest"), seconds: found.causes.rest_seconds, tickets: [] },
                ]}
              />
            ) : <p class="muted small">{found.because}</p>}
          </>
        )}
      </Loaded>
    </div>
  );
}

interface Row {
  name: string;
  seconds: number;
  tickets: Behind;
  strong?: boolean;
}

function Parts(props: { label: string; rows: Row[] }): JSX.Element {
  return (
    <div class="table-wrap figures" tabIndex={0} role="region" aria-label={props.label}>
      <table class="figures-table">
        <thead><tr><th scope="col">{props.label}</th><th scope="col">{t("changeOfMean")}</th><th scope="col">{t("ticketsBehind")}</th></tr></thead>
        <tbody>
          {props.rows.map((row) => (
            <tr key={row.name}>
              <th scope="row">{row.strong ? <strong>{row.name}</strong> : row.name}</th>
              <td>{row.seconds > 0 ? "+" : ""}{number(row.seconds, 1)} s</td>
              <td>{row.tickets.slice(0, SHOWN).map((each) => <><a key={each.ticket_id} href={href("tickets", each.ticket_id)}>{spoken(each.seconds)}</a> </>)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
