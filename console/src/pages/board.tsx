// The board: at most six figures, each beside what is promised, and who waits.
import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { api, ok } from "../api/client";
import type { Backlog, BacklogReport, Ticket } from "../api/wire";
import { now } from "../live/clock";
import { type Reading, useReading } from "../live/reading";
import { byUrgency, standing, TicketList } from "../live/tickets";
import { can } from "../session";
import { href, route, setParams } from "../router";
import { lazy } from "../ui/lazy";
import { Choice, Empty, Failure, Panel, Skeleton } from "../ui/parts";
import { type Column, TicketTable } from "../ui/ticket-table";
import { duration } from "../words/format";
import { t } from "../words/index";
import { GoalCard, useBoardGoal } from "./board-goal";

const COLUMNS: readonly Column[] = ["due", "number", "subject", "customer", "priority", "channel", "who"];
const CONCERNS = /^(ticket|message|sla)\./;
const LastDay = lazy(async () => (await import("./board-day")).LastDay);

export function Board(): JSX.Element {
  const team = route.value.params.get("team") ?? "";
  const wall = route.value.params.has("wall");
  const list = useMemo(() => new TicketList({ status: "new,open", ...(team ? { team_id: team } : {}) }, "due_at", byUrgency), [team]);
  useEffect(() => {
    list.start();
    return () => list.stop();
  }, [list]);
  const backlog = useReading(
    "backlog",
    async () => (can("reports:read") ? ((await ok(api.GET("/v1/reports/backlog", { params: { query: { group_by: ["team"] } } }))) as BacklogReport).items : []),
    (event) => CONCERNS.test(event.type),
    2000,
  );
  const goal = useBoardGoal(team);
  const { data } = goal.reading;
  return (
    <div class={`board ${wall ? "wall" : ""}`}>
      <h1 class="hidden">{t("board")}</h1>
      <div class="board-side">
        {can("goals:read") && <GoalCard {...goal} />}
        {can("reports:read") && <LastDay target={data.value?.goal.target_seconds ?? null} />}
      </div>
      <div class="board-main">
        <Figures list={list} />
        <Waiting list={list} team={team} backlog={backlog} answered={data.value?.status.mean_answered ?? null} />
        {!wall && <ByTeam rows={backlog.data.value ?? []} />}
      </div>
    </div>
  );
}

function Figures(props: { list: TicketList }): JSX.Element {
  const { list } = props;
  const waiting = useComputed(() => list.all.value.filter((ticket) => ticket.due_at !== null));
  const counts = useComputed(() => {
    const standings = waiting.value.map((ticket) => standing(ticket, now.value));
    return { risk: standings.filter((each) => each === "risk").length, late: standings.filter((each) => each === "late").length };
  });
  const oldest = useComputed(() => longest(waiting.value));
  const wait = useComputed(() => (oldest.value ? duration((now.value - began(oldest.value)) / 1000) : "–"));
  const human = useComputed(() => list.all.value.filter((ticket) => ticket.needs_human).length);
  return (
    <div class="tiles" role="group" aria-label={t("waitingList")}>
      <Tile value={String(waiting.value.length)} name={t("figWaiting")} hint={t("figWaitingHint")} />
      <Tile value={wait.value} name={t("figOldest")} hint={oldest.value ? `${oldest.value.number}` : ""} {...(oldest.value ? { to: href("tickets", oldest.value.id) } : {})} />
      <Tile value={String(counts.value.risk)} name={t("figRisk")} hint={t("figRiskHint")} mark="▲" tone={counts.value.risk ? "risk" : "calm"} />
      <Tile value={String(counts.value.late)} name={t("figLate")} hint="" mark="■" tone={counts.value.late ? "late" : "calm"} />
      <Tile value={String(human.value)} name={t("figHuman")} hint={t("figHumanHint")} mark="☎" tone={human.value ? "human" : "calm"} />
    </div>
  );
}

const began = (ticket: Ticket): number => Date.parse(ticket.waiting_since ?? ticket.created_at);

function longest(tickets: Ticket[]): Ticket | null {
  return tickets.reduce<Ticket | null>((found, each) => (found && began(found) <= began(each) ? found : each), null);
}

function Tile(props: { value: string; name: string; hint: string; mark?: string; tone?: string; to?: string }): JSX.Element {
  const inside = (
    <>
      <span class="tile-name">{props.mark && <span class="mark" aria-hidden="true">{props.mark}</span>} {props.name}</span>
      <span class="tile-value">{props.value}</span>
      <span class="tile-hint muted">{props.hint}</span>
    </>
  );
  const look = `tile tone-${props.tone ?? "calm"}`;
  return props.to ? <a class={look} href={props.to}>{inside}</a> : <div class={look}>{inside}</div>;
}

function Waiting(props: { list: TicketList; team: string; backlog: Reading<Backlog[]>; answered: number | null }): JSX.Element {
  const { list } = props;
  const teams = (props.backlog.data.value ?? []).flatMap(({ group }) => (group.team ? [[group.team, group.team_name ?? "…"] as const] : []));
  const choices: (readonly [string, string])[] = [["", t("allTeams")], ...teams];
  return (
    <Panel
      class="waiting"
      title={t("waitingList")}
      actions={
        <>
          <Fresh list={list} />
          {choices.length > 1 && <Choice hideLabel label={t("team")} value={props.team} options={choices} onChoose={(value) => setParams({ team: value })} />}
        </>
      }
    >
      {list.failure.value && list.state.value === "loading" ? (
        <Failure of={list.failure.value} retry={() => void list.load()} />
      ) : list.state.value === "loading" ? (
        <Skeleton lines={8} />
      ) : list.order.value.length ? (
        <TicketTable list={list} columns={COLUMNS} label={t("waitingList")} />
      ) : (
        <Empty title={t("quiet")}>
          {props.answered !== null && t("quietHint", { time: `${Math.round(props.answered)} s` })} {t("quietNext")}
        </Empty>
      )}
    </Panel>
  );
}

/** Tells of what has come while the rows hold still. */
export function Fresh(props: { list: TicketList }): JSX.Element {
  const { fresh } = props.list;
  return (
    <span class="fresh" role="status">
      {fresh.value > 0 && <button type="button" class="fresh-button" title={t("freshHint")} onClick={() => props.list.settle()}>{t("fresh", { n: fresh.value })}</button>}
    </span>
  );
}

function ByTeam(props: { rows: Backlog[] }): JSX.Element | null {
  const { rows } = props;
  if (!rows.length) return null;
  return (
    <Panel title={t("byTeam")} class="by-team">
      <div class="table-wrap">
        <table>
          <thead>
            <tr>
              <th scope="col">{t("team")}</th><th scope="col">{t("open")}</th><th scope="col">{t("figWaiting")}</th>
              <th scope="col">{t("oldest")}</th><th scope="col">▲ {t("figRisk")}</th><th scope="col">■ {t("figLate")}</th>
            </tr>
          </thead>
          <tbody>{rows.map((row) => <TeamRow key={row.group.team ?? ""} row={row} />)}</tbody>
        </table>
      </div>
    </Panel>
  );
}

function TeamRow(props: { row: Backlog }): JSX.Element {
  const { row } = props;
  const id = row.group.team;
  return (
    <tr>
      <th scope="row">{id ? <a href={href("board", null, { team: id })}>{row.group.team_name ?? "…"}</a> : t("noTeam")}</th>
      <td>{row.open}</td>
      <td>{row.waiting}</td>
      <td>{row.oldest_wait_seconds === null ? "–" : duration(row.oldest_wait_seconds)}</td>
      <td>{row.at_risk}</td>
      <td>{row.breached}</td>
    </tr>
  );
}

