// Choosing one value for some tickets by keyboard: who, which priority, which status.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type { Patch } from "../actions";
import { agents } from "../live/people";
import { t, word } from "../words/index";
import { Dialog } from "./dialog";

export const PRIORITIES = ["urgent", "high", "normal", "low"] as const;
export const STATUSES = ["new", "open", "pending", "on_hold", "resolved", "closed"] as const;

type What = "assign" | "priority" | "status";
type Act = (ids: string[], patch: Patch) => Promise<void>;
const asked = signal<{ what: What; ids: string[]; act: Act } | null>(null);

export function picking(what: What, ids: string[], act: Act): void {
  if (ids.length) asked.value = { what, ids, act };
}

const TITLES = { assign: "assign", priority: "setPriority", status: "setStatus" } as const;

function choices(what: What): [string, string, Patch][] {
  if (what === "priority") return PRIORITIES.map((each) => [each, word(each), { priority: each }]);
  if (what === "status") return STATUSES.slice(1).map((each) => [each, word(each), { status: each }]);
  const found = [...agents.value.values()].filter((each) => each.active).map((each): [string, string, Patch] => [each.id, each.name, { assignee_id: each.id }]);
  return [["", t("nobody"), { assignee_id: null }], ...found];
}

export function Picker(): JSX.Element | null {
  const current = asked.value;
  if (!current) return null;
  const close = (): void => void (asked.value = null);
  return (
    <Dialog title={t(TITLES[current.what])} onClose={close} class="picker">
      <ul class="options">
        {choices(current.what).map(([key, text, patch], at) => (
          <li key={key}>
            <button type="button" class="option" autoFocus={at === 0} onClick={() => { close(); void current.act(current.ids, patch); }}>{text}</button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
