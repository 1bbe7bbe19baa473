// Agents and teams by id, read once and again when they change: for names, and for choosing among them.
import { signal } from "@preact/signals";
import { api, ok, Refused } from "../api/client";
import type { Agent, Team } from "../api/wire";
import { can, onSignOut } from "../session";
import { listen } from "./stream";

export const agents = signal<Map<string, Agent>>(new Map());
export const teams = signal<Map<string, Team>>(new Map());
let asked: Promise<void> | null = null;

/** Reads them unless they are there. */
export function people(): Promise<void> {
  return (asked ??= can("agents:read") ? load() : Promise.resolve());
}

async function load(): Promise<void> {
  try {
    const query = { limit: 200 };
    const [some, groups] = await Promise.all([ok(api.GET("/v1/agents", { params: { query } })), ok(api.GET("/v1/teams", { params: { query } }))]);
    agents.value = new Map(some.items.map((each) => [each.id, each]));
    teams.value = new Map(groups.items.map((each) => [each.id, each]));
  } catch (failed) {
    if (!(failed instanceof Refused)) throw failed;
    asked = null;
  }
}

listen((events) => {
  if (asked && events.some((event) => event.type.startsWith("agent.") || event.type.startsWith("team."))) asked = load();
});
onSignOut(() => {
  asked = null;
  agents.value = new Map();
  teams.value = new Map();
});

export const agentName = (id: string | null): string => (id ? (agents.value.get(id)?.name ?? "…") : "");
export const teamName = (id: string | null): string => (id ? (teams.value.get(id)?.name ?? "…") : "");
