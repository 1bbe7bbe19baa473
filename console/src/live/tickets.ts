// A list of tickets that stays true: read once the stream stands, and again after every connection; in between only
// what was touched is read anew, at most one request in 200 ms. Whether a touched ticket still belongs is the server's
// to say: it is asked for with the list's own filter.
import { batch, computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { api, ok, Refused } from "../api/client";
import type { Ticket } from "../api/wire";
import { connections, listen, tried } from "./stream";

export type Filter = Record<string, string | boolean | undefined>;

const PAGE = 200;
const MOST_ROWS = 1000;
const WAKES_EVERY_MS = 60_000;
const EVERY_MS = 200;
const INCLUDE = "customer,assignee,last_message";

export interface Row {
  ticket: Ticket;
  /** It has left the list, and stays where it is while somebody points there. */
  gone: boolean;
}

export class TicketList {
  readonly rows = new Map<string, Signal<Row>>();
  readonly order = signal<string[]>([]);
  readonly state = signal<"loading" | "ready">("loading");
  readonly failure = signal<Refused | null>(null);
  readonly complete = signal(true);
  /** Tickets that have come and wait to be shown. */
  readonly fresh = signal(0);
  /** Counts the changes of any row. */
  readonly changes = signal(0);
  readonly all: ReadonlySignal<Ticket[]>;
  private held = false;
  private readonly touched = new Set<string>();
  private readonly hidden = new Map<string, Ticket>();
  private timer = 0;
  private asked = 0;
  private busy = false;
  private again = false;
  private readonly endings: (() => void)[] = [];

  constructor(
    readonly filter: Filter,
    readonly sort: string | undefined,
    private readonly compare: ((a: Ticket, b: Ticket) => number) | null,
  ) {
    this.all = computed(() => {
      void this.changes.value;
      return [...this.rows.values()].map((row) => row.peek()).filter((row) => !row.gone).map((row) => row.ticket).concat(...this.hidden.values());
    });
  }

  start(): this {
    this.endings.push(
      listen((events) => {
        for (const event of events) if (event.ticketid && !event.type.startsWith("sla_")) this.touched.add(event.ticketid);
        this.plan();
      }),
      // Stream first, then the list, so that nothing falls between; where there is no stream the list comes alone.
      effect(() => {
        if (connections.value || tried.value) void this.load();
      }),
    );
    // Nothing happens to a snoozed ticket when its time has come: it is asked for.
    if (this.filter["snoozed"]) {
      const waking = window.setInterval(() => void this.load(), WAKES_EVERY_MS);
      this.endings.push(() => clearInterval(waking));
    }
    return this;
  }

  stop(): void {
    clearTimeout(this.timer);
    this.touched.clear();
    for (const ending of this.endings.splice(0)) ending();
  }

  /** While somebody points at a row, or is in one, no row moves. */
  hold(held: boolean): void {
    if (this.held === held) return;
    this.held = held;
    if (!held) this.settle();
  }

  /** Puts a ticket that was just changed here into the list, without waiting for the stream. */
  touch(...ids: readonly string[]): void {
    for (const id of ids) this.touched.add(id);
    this.plan();
  }

  async load(): Promise<void> {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    this.touched.clear();
    try {
      const tickets: Ticket[] = [];
      let cursor: string | null | undefined;
      do {
        const page: { items: Ticket[]; next_cursor: string | null } = await this.read({ limit: PAGE, cursor });
        tickets.push(...page.items);
        cursor = page.next_cursor;
      } while (cursor && tickets.length < MOST_ROWS);
      batch(() => {
        this.complete.value = !cursor;
        this.failure.value = null;
        const ids = new Set(tickets.map((ticket) => ticket.id));
        this.merge(tickets, [...this.rows.keys(), ...this.hidden.keys()].filter((id) => !ids.has(id)));
        this.state.value = "ready";
      });
    } catch (failed) {
      if (!(failed instanceof Refused)) throw failed;
      this.failure.value = failed;
    } finally {
      this.busy = false;
      if (this.again) {
        this.again = false;
        void this.load();
      }
    }
  }

  private async read(more: Record<string, unknown>): Promise<{ items: Ticket[]; next_cursor: string | null }> {
    const query = { ...this.filter, sort: this.sort, include: INCLUDE, ...more } as never;
    return ok(api.GET("/v1/tickets", { params: { query } }));
  }

  private plan(): void {
    if (!this.touched.size || this.timer) return;
    const wait = this.asked + EVERY_MS - performance.now();
    this.timer = window.setTimeout(() => void this.refresh(), Math.max(0, wait));
  }

  private async refresh(): Promise<void> {
    const ids = [...this.touched].slice(0, PAGE);
    // The whole list was read meanwhile, and nothing has been touched since.
    if (!ids.length) {
      this.timer = 0;
      return;
    }
    this.asked = performance.now();
    for (const id of ids) this.touched.delete(id);
    try {
      const { items } = await this.read({ ids: ids.join(","), limit: PAGE });
      const found = new Set(items.map((ticket) => ticket.id));
      this.failure.value = null;
      this.merge(items, ids.filter((id) => !found.has(id)));
    } catch (failed) {
      if (!(failed instanceof Refused)) throw failed;
      // With the connection everything comes anew; a refusal would come again.
      this.failure.value = failed;
    } finally {
      this.timer = 0;
      this.plan();
    }
  }

  private merge(came: Ticket[], left: string[]): void {
    batch(() => {
      for (const ticket of came) {
        const row = this.rows.get(ticket.id);
        if (row) {
          if (row.peek().ticket.version !== ticket.version || row.peek().gone || differs(row.peek().ticket, ticket)) row.value = { ticket, gone: false };
        } else this.hidden.set(ticket.id, ticket);
      }
      for (const id of left) {
        const row = this.rows.get(id);
        if (row && !row.peek().gone) row.value = { ...row.peek(), gone: true };
        this.hidden.delete(id);
      }
      if (this.held) this.fresh.value = this.hidden.size;
      else this.settle();
      this.changes.value += 1;
    });
  }

  /** Brings everything to its place. */
  settle(): void {
    batch(() => {
      for (const [id, row] of this.rows) if (row.peek().gone) this.rows.delete(id);
      for (const [id, ticket] of this.hidden) this.rows.set(id, signal({ ticket, gone: false }));
      this.hidden.clear();
      this.fresh.value = 0;
      const sorted = [...this.rows.values()].map((row) => row.peek().ticket);
      if (this.compare) sorted.sort(this.compare);
      const ids = sorted.map((ticket) => ticket.id);
      const before = this.order.peek();
      if (ids.length !== before.length || ids.some((id, at) => id !== before[at])) this.order.value = ids;
      this.changes.value += 1;
    });
  }
}

function differs(a: Ticket, b: Ticket): boolean {
  return a.due_at !== b.due_at || a.at_risk_at !== b.at_risk_at || a.last_message?.id !== b.last_message?.id;
}

const instantOf = (iso: string | null | undefined): number => (iso ? Date.parse(iso) : Infinity);

/** Who asks for a person first, then what breaks first. Due instants compare whatever the calendar. */
export function byUrgency(a: Ticket, b: Ticket): number {
  if (a.needs_human !== b.needs_human) return a.needs_human ? -1 : 1;
  const [first, second] = [instantOf(a.due_at), instantOf(b.due_at)];
  return first === second ? a.number - b.number : first < second ? -1 : 1;
}

export type Standing = "waiting" | "risk" | "late" | "none";

/** How a ticket stands at an instant. */
export function standing(ticket: Ticket, at: number): Standing {
  if (!ticket.due_at) return "none";
  if (at >= Date.parse(ticket.due_at)) return "late";
  return ticket.at_risk_at && at >= Date.parse(ticket.at_risk_at) ? "risk" : "waiting";
}
