// Rows of tickets that keep their place while somebody points at one or works in one.
import { useComputed, type Signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Ticket } from "../api/wire";
import { moveRow, useKeys } from "../keys";
import type { Row, TicketList } from "../live/tickets";
import { href } from "../router";
import { named } from "../words/format";
import type { FirstWord } from "../words/en";
import { t, word } from "../words/index";
import { Due, Since, useStanding } from "./due";
import { PriorityTag } from "./parts";

export type Column = "select" | "due" | "number" | "subject" | "customer" | "priority" | "channel" | "segment" | "who" | "status";

const TITLES: Record<Exclude<Column, "select">, FirstWord> = {
  due: "due", number: "number", subject: "subject", customer: "customer", priority: "priority", channel: "channel", segment: "segment", who: "who", status: "status",
};

export interface Selection {
  ids: Signal<ReadonlySet<string>>;
  toggle: (id: string) => void;
}

export function TicketTable(props: { list: TicketList; columns: readonly Column[]; selection?: Selection; label: string }): JSX.Element {
  const { list, columns, selection } = props;
  const body = useRef<HTMLTableSectionElement>(null);
  const pointed = useRef(false);
  const hold = (): void => {
    list.hold(pointed.current || Boolean(body.current?.contains(document.activeElement)));
  };
  useKeys({ j: () => moveRow(1), k: () => moveRow(-1) });
  useEffect(() => () => list.hold(false), [list]);
  return (
    <div class="table-wrap">
      <table class="tickets" aria-label={props.label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col" class={`col-${column}`}>
                {column === "select" ? <span class="hidden">{t("select")}</span> : t(TITLES[column])}
              </th>
            ))}
          </tr>
        </thead>
        <tbody
          ref={body}
          onPointerEnter={() => { pointed.current = true; hold(); }}
          onPointerLeave={() => { pointed.current = false; hold(); }}
          onFocusIn={hold}
          onFocusOut={() => setTimeout(hold)}
        >
          <Rows ids={list.order.value} list={list} columns={columns} {...(selection ? { selection } : {})} />
        </tbody>
      </table>
    </div>
  );
}

/** By itself: among the children of an element, Preact would keep each row's first content beside its present one. */
function Rows(props: { ids: readonly string[]; list: TicketList; columns: readonly Column[]; selection?: Selection }): ComponentChildren {
  const { ids, list, ...shown } = props;
  return ids.map((id) => {
    const row = list.rows.get(id);
    return row && <TicketRow key={id} row={row} {...shown} />;
  });
}

function TicketRow(props: { row: Signal<Row>; columns: readonly Column[]; selection?: Selection }): JSX.Element {
  const { ticket, gone } = props.row.value;
  return <Cells key={`${ticket.due_at}${ticket.at_risk_at}`} ticket={ticket} gone={gone} columns={props.columns} {...(props.selection ? { selection: props.selection } : {})} />;
}

function Cells(props: { ticket: Ticket; gone: boolean; columns: readonly Column[]; selection?: Selection }): JSX.Element {
  const { ticket, gone, selection } = props;
  const state = useStanding(ticket);
  const chosen = useComputed(() => selection?.ids.value.has(ticket.id) ?? false);
  const look = useComputed(() => `row-${gone ? "gone" : state.value}${ticket.needs_human ? " row-human" : ""}${chosen.value ? " row-chosen" : ""}`);
  return (
    <tr class={look} data-ticket={ticket.id}>
      {props.columns.map((column) => <td key={column} class={`col-${column}`} {...(LABELLED.has(column) ? { "data-label": t(TITLES[column as "who"]) } : {})}>{cell(column, ticket, selection, chosen.value)}</td>)}
    </tr>
  );
}

const LABELLED = new Set<Column>(["customer", "channel", "segment", "who", "status"]);

function cell(column: Column, ticket: Ticket, selection: Selection | undefined, chosen: boolean): JSX.Element | string {
  switch (column) {
    case "select":
      return <input type="checkbox" class="pick" aria-label={`${t("select")} ${ticket.number}`} checked={chosen} onChange={() => selection?.toggle(ticket.id)} />;
    case "due":
      return <Due ticket={ticket} />;
    case "number":
      return <span class="muted num">{ticket.number}</span>;
    case "subject":
      return <Subject ticket={ticket} />;
    case "customer":
      return <span class="clip">{ticket.customer ? named(ticket.customer) : "–"}</span>;
    case "priority":
      return <PriorityTag value={ticket.priority} />;
    case "who":
      return <span class="clip">{ticket.assignee?.name ?? ""}</span>;
    case "segment":
      return <span class="clip">{ticket.segment ?? ""}</span>;
    default:
      return word(ticket[column]);
  }
}

function Subject(props: { ticket: Ticket }): JSX.Element {
  const { ticket } = props;
  return (
    <span class="subject">
      {ticket.needs_human && (
        <span class="human">
          <span aria-hidden="true">☎</span> {t("asksPerson")}
          {ticket.waiting_since && <> <Since at={ticket.waiting_since} /></>}
        </span>
      )}
      <a class="row-link" href={href("tickets", ticket.id)} dir="auto">{ticket.subject}</a>
      {ticket.last_message && <span class="last" dir="auto">{ticket.last_message.body}</span>}
    </span>
  );
}
