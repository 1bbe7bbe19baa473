import type { JSX } from "preact";
import { myAgent } from "../../actions";
import { agents, teams } from "../../live/people";
import { href } from "../../router";
import { can } from "../../session";
import { Due, Since } from "../../ui/due";
import { Choice, PriorityTag, Tag, When } from "../../ui/parts";
import { PRIORITIES, STATUSES } from "../../ui/picker";
import { named } from "../../words/format";
import { t, word } from "../../words/index";
import { AsideButtons, AsideNote } from "./aside";
import type { Actions } from "./index";
import type { Desk, Whole } from "./state";

type Option = readonly [string, string];

/** What the ticket is, and what can be changed about it. */
export function Head(props: { ticket: Whole; desk: Desk; actions: Actions }): JSX.Element {
  const { ticket, desk, actions } = props;
  const may = can("tickets:write");
  const mine = myAgent();
  const staff: Option[] = [["", t("nobody")], ...[...agents.value.values()].filter((each) => each.active || each.id === ticket.assignee_id).map((each): Option => [each.id, each.name])];
  const groups: Option[] = [["", t("noTeam")], ...[...teams.value.values()].map((each): Option => [each.id, each.name])];
  return (
    <header class="ticket-head">
      <p class="crumbs">
        <a href={href("queue")}>← {t("queue")}</a> <span class="muted">{ticket.number}</span> <Tag>{word(ticket.channel)}</Tag> <Tag>{word(ticket.type)}</Tag>
        {ticket.segment && <Tag>{ticket.segment}</Tag>} {ticket.tags.map((tag) => <Tag key={tag}>{tag}</Tag>)}
      </p>
      <div class="ticket-title">
        <h1 dir="auto">{ticket.subject}</h1>
        <span class="ticket-due"><Due ticket={ticket} /></span>
      </div>
      {ticket.needs_human && (
        <p class="human-line"><span aria-hidden="true">☎</span> {t("asksPerson")} · <Since at={waitingSince(ticket)} /></p>
      )}
      <p class="muted small">{named(ticket.customer)} · <When at={ticket.created_at} />{ticket.merged_into && <> · <a href={href("tickets", ticket.merged_into)}>{t("mergedInto")}</a></>}</p>
      <AsideNote ticket={ticket} desk={desk} may={may} />
      {may ? (
        <div class="ticket-controls">
          <Choice label={t("status")} value={ticket.status} options={STATUSES.filter((each) => each !== "new" || ticket.status === "new").map((each): Option => [each, word(each)])} onChoose={(value) => void desk.change({ status: value as Whole["status"] })} />
          <Choice label={t("priority")} value={ticket.priority} options={PRIORITIES.map((each): Option => [each, word(each)])} onChoose={(value) => void desk.change({ priority: value as Whole["priority"] })} />
          <Choice label={t("who")} value={ticket.assignee_id ?? ""} options={staff} onChoose={(value) => void desk.change({ assignee_id: value || null })} />
          {groups.length > 1 && <Choice label={t("team")} value={ticket.team_id ?? ""} options={groups} onChoose={(value) => void desk.change({ team_id: value || null })} />}
          {mine && ticket.assignee_id !== mine && <button type="button" onClick={actions.take}>{t("take")} <kbd>=</kbd></button>}
          {!ticket.needs_human && <button type="button" class="quiet" onClick={() => void actions.handOff()}>☎ {t("handOff")}</button>}
          <AsideButtons ticket={ticket} desk={desk} />
          <button type="button" class="push" onClick={() => void actions.resolveAndNext()}>{t("resolveNext")} <kbd>e</kbd></button>
        </div>
      ) : (
        <PriorityTag value={ticket.priority} />
      )}
    </header>
  );
}

function waitingSince(ticket: Whole): string {
  const running = ticket.clocks?.find((clock) => clock.state === "running" && clock.metric.endsWith("response"));
  return running?.started_at ?? ticket.created_at;
}
