// Names of customers by id, where the service tells the id alone: all that a page shows are read at once, and each
// again when it changes.
import { signal } from "@preact/signals";
import { api, ok, Refused } from "../api/client";
import { can, onSignOut } from "../session";
import { named } from "../words/format";
import { t } from "../words/index";
import { listen } from "./stream";

const names = signal<ReadonlyMap<string, string>>(new Map());
const asked = new Set<string>();
const MOST = 200;
let wanted: string[] = [];

function read(id: string): void {
  if (!wanted.length) setTimeout(() => void readWanted());
  wanted.push(id);
}

async function readWanted(): Promise<void> {
  const ids = wanted.splice(0, MOST);
  if (wanted.length) setTimeout(() => void readWanted());
  try {
    // As one text with commas: 200 of them each on its own would be too long for an address.
    const query = { ids: [ids.join(",")], limit: MOST };
    const { items } = await ok(api.GET("/v1/customers", { params: { query } }));
    names.value = new Map([...names.peek(), ...items.map((each) => [each.id, each.erased_at ? t("erased") : named(each)] as const)]);
  } catch (failed) {
    if (!(failed instanceof Refused)) throw failed;
    for (const id of ids) asked.delete(id);
  }
}

/** The name, once it is there; until then the end of the id. */
export function customerName(id: string): string {
  if (!asked.has(id) && can("customers:read")) {
    asked.add(id);
    read(id);
  }
  return names.value.get(id) ?? `… ${id.slice(-6)}`;
}

listen((events) => {
  for (const event of events) if (event.type.startsWith("customer.") && asked.has(event.subject)) read(event.subject);
});
onSignOut(() => {
  asked.clear();
  names.value = new Map();
});
