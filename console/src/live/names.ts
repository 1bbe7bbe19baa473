// Names of customers by id, where the service tells the id alone: each is read once, and again when it changes.
import { signal } from "@preact/signals";
import { api, ok, Refused } from "../api/client";
import { can, onSignOut } from "../session";
import { named } from "../words/format";
import { t } from "../words/index";
import { listen } from "./stream";

const names = signal<ReadonlyMap<string, string>>(new Map());
const asked = new Set<string>();

async function read(id: string): Promise<void> {
  try {
    const customer = await ok(api.GET("/v1/customers/{customer_id}", { params: { path: { customer_id: id } } }));
    names.value = new Map(names.peek()).set(id, customer.erased_at ? t("erased") : named(customer));
  } catch (failed) {
    if (!(failed instanceof Refused)) throw failed;
    asked.delete(id);
  }
}

/** The name, once it is there; until then the end of the id. */
export function customerName(id: string): string {
  if (!asked.has(id) && can("customers:read")) {
    asked.add(id);
    void read(id);
  }
  return names.value.get(id) ?? `… ${id.slice(-6)}`;
}

listen((events) => {
  for (const event of events) if (event.type.startsWith("customer.") && asked.has(event.subject)) void read(event.subject);
});
onSignOut(() => {
  asked.clear();
  names.value = new Map();
});
