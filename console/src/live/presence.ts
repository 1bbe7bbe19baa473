// Whether this agent takes tickets: they say so, and a heartbeat keeps it while a tab of theirs is open.
import { signal } from "@preact/signals";
import { api, ok, Refused, type Schemas } from "../api/client";
import { me, onSignOut } from "../session";

export type Availability = Schemas["AvailabilityOut"];
export const STATES = ["online", "away", "offline"] as const;

const BEAT_MS = 30_000;
/** So many tickets at once, for who has never said how many. */
const CAPACITY = 10;

/** Null until it is read, and for who is no agent. */
export const presence = signal<Availability | null>(null);
let timer = 0;

const params = (): { path: { agent_id: string } } => ({ path: { agent_id: me.value?.agent?.id ?? "" } });

export async function readPresence(): Promise<void> {
  if (me.value?.agent && !presence.value) keep(await ok(api.GET("/v1/agents/{agent_id}/availability", { params: params() })));
}

export async function sayPresence(state: Availability["state"], capacity?: number): Promise<void> {
  const said = presence.value?.since ? presence.value : null;
  const { channels = null, skills = [] } = said ?? {};
  const body = { state, capacity: capacity ?? said?.capacity ?? CAPACITY, channels, skills };
  keep(await ok(api.PUT("/v1/agents/{agent_id}/availability", { params: params(), body })));
}

function keep(now: Availability | null): void {
  clearInterval(timer);
  presence.value = now;
  if (now && now.state !== "offline") timer = window.setInterval(() => void beat(), BEAT_MS);
}

async function beat(): Promise<void> {
  try {
    keep(await ok(api.POST("/v1/agents/{agent_id}/availability/heartbeat", { params: params() })));
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    // It has ended. Where the service is away the next heartbeat tries again.
    if (!refused.away && presence.value) keep({ ...presence.value, state: "offline" });
  }
}

onSignOut(() => keep(null));
