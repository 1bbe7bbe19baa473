// Why a goal's mean is another one than in the window before: in parts that add up, each with the tickets behind it.
import type { JSX } from "preact";
import { api, ok } from "../api/client";
import type { Schemas } from "../api/client";
import type { Goal } from "../api/wire";
import { useReading } from "../live/reading";
import { href } from "../router";
import { Figures } from "../ui/figures";
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
    <Figures
      class="figures" label={props.label} heads={[props.label, t("changeOfMean"), t("ticketsBehind")]}
      rows={props.rows.map((row) => [
        row.strong ? <strong>{row.name}</strong> : row.name,
        `${row.seconds > 0 ? "+" : ""}${number(row.seconds, 1)} s`,
        row.tickets.slice(0, SHOWN).map((each) => <span key={each.ticket_id}><a href={href("tickets", each.ticket_id)}>{spoken(each.seconds)}</a> </span>),
      ])}
    />
  );
}
