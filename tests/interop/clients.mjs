// What clients of npm make of the service: `node clients.mjs INPUT`, a line of JSON for each.
import { fetchEventSource } from "@microsoft/fetch-event-source";
import axios from "axios";
import axiosRetry from "axios-retry";
import { CloudEvent, HTTP } from "cloudevents";
import { EventSource } from "eventsource";
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";
import { z } from "zod";
import { ofAPerson, ofAProgram } from "./identity.mjs";

const { url, key, feed, every_type: everyType, deliveries, secret, instants, flaky, issuer } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const headers = { Authorization: `Bearer ${key}` };
// It was written for pages.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8")).version;

async function tried(name, did, attempt) {
  const late = new Promise((_, no) => setTimeout(no, 60_000, new Error("nothing for a minute")).unref());
  const result = await Promise.race([attempt(), late]).catch((failed) => `FAILED: ${failed.message}`);
  console.log(JSON.stringify({ client: `${name} (npm)`, version: version(name), did, result }));
}

async function open() {
  const body = JSON.stringify({ subject: "Heard", customer: { external_id: "listener" } });
  const answer = await fetch(`${url}/v1/tickets`, { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body });
  return (await answer.json()).id;
}

function check(holds, why) {
  if (!holds) throw new Error(why);
}

// A listener tells of `hello`, then of the ticket that is opened once it has heard that.
const STREAM = `${url}/v1/events/stream?types=ticket.created`;
await tried("@microsoft/fetch-event-source", "hears an event of the stream", () => new Promise((yes, no) => {
  const gone = new AbortController();
  let opened;
  let connections = 0;
  fetchEventSource(STREAM, {
    headers, signal: gone.signal, openWhenHidden: true,
    onopen: async () => { connections += 1; },
    onmessage: async ({ event, data }) => {
      if (event === "hello") opened = await open();
      else if (opened && JSON.parse(data).ticketid === opened) (gone.abort(), yes(`heard, ${connections} connection`));
    },
    onerror: (failed) => { no(failed); throw failed; },
  }).catch(no);
}));
await tried("eventsource", "hears an event of the stream", () => new Promise((yes, no) => {
  const source = new EventSource(STREAM, { fetch: (to, init) => fetch(to, { ...init, headers: { ...init.headers, ...headers } }) });
  let opened;
  source.addEventListener("hello", async () => { opened = await open(); });
  source.onmessage = ({ data, lastEventId }) => JSON.parse(data).ticketid === opened && (source.close(), yes(`heard, id ${lastEventId.length} long`));
  source.onerror = (failed) => (source.close(), no(failed));
}));

const types = (events) => new Set(events.map(({ type }) => type)).size;
for (const [did, given] of [["every event of the feed", feed], ["an event of every type", everyType]]) await tried("cloudevents", `parses ${did}`, async () => {
  const events = given.map((event) => new CloudEvent(event, true));
  check(events.every((event) => event.validate() && event.ticketid !== null && event.data), "an event is not valid");
  return `${events.length} events of ${types(events)} types`;
});
await tried("cloudevents", "parses the feed as a batch", async () => {
  const answer = await fetch(`${url}/v1/events?limit=200`, { headers: { ...headers, Accept: "application/cloudevents-batch+json" } });
  const events = HTTP.toEvent({ headers: Object.fromEntries(answer.headers), body: await answer.text() });
  check(events.every((event) => event.validate()), "an event is not valid");
  return `${events.length} events of ${types(events)} types`;
});
await tried("cloudevents", "parses webhooks", async () => {
  const events = deliveries.map(({ headers, body }) => HTTP.toEvent({ headers, body }));
  check(events.length && events.every((event) => event.validate()), "an event is not valid");
  return `${events.length} events of ${types(events)} types`;
});
await tried("standardwebhooks", "verifies webhooks, and refuses one that was changed", async () => {
  const verifier = new Webhook(secret);
  for (const { headers, body } of deliveries) {
    verifier.verify(body, headers);
    let refused = false;
    try { verifier.verify(`${body} `, headers); } catch { refused = true; }
    check(refused, "took a body that was changed");
  }
  return `${deliveries.length} verified`;
});
await tried("zod", "takes every instant of every answer with datetime()", async () => {
  const wrong = instants.filter(({ value }) => !z.string().datetime().safeParse(value).success);
  check(instants.length > 0 && wrong.length === 0, JSON.stringify(wrong.slice(0, 3)));
  return `${instants.length} instants`;
});
await tried("axios-retry", "asks again after Retry-After", async () => {
  const http = axios.create({ baseURL: flaky, headers });
  axiosRetry(http, { retries: 3 });
  const began = Date.now();
  const { status } = await http.get("/v1/teams");
  const waited = Date.now() - began;
  check(status === 200 && waited >= 1000, `status ${status}, waited ${waited} ms`);
  return `200 after ${waited} ms, as told`;
});
const asking = async (token, path) => {
  const answer = await fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  return { status: answer.status, body: await answer.json() };
};
const of = `oidc-provider ${version("oidc-provider")}`;
let ofTheProgram;
await tried("openid-client", `client credentials of ${of}`, async () => {
  ofTheProgram = await ofAProgram(issuer);
  const { role, scopes } = (await asking(ofTheProgram, "/v1/me")).body;
  check(role === "service" && `${scopes}` === "events:read", `is ${role} with ${scopes}`);
  const statuses = [];
  for (const path of ["/v1/events", "/v1/tickets"]) statuses.push((await asking(ofTheProgram, path)).status);
  check(`${statuses}` === "200,403", `got ${statuses}`);
  return `${role} with ${scopes}; no more`;
});
await tried("openid-client", `code with PKCE of ${of}`, async () => {
  const token = await ofAPerson(issuer, "ann");
  const { role, agent } = (await asking(token, "/v1/me")).body;
  check(role === "lead" && agent?.external_id === "ann", `is ${role}, ${JSON.stringify(agent)}`);
  const [head, , signature] = ofTheProgram.split(".");
  const { status } = await asking([head, token.split(".")[1], signature].join("."), "/v1/me");
  check(status === 401, `a signature of something else got ${status}`);
  const stranger = await asking(await ofAPerson(issuer, "bob"), "/v1/me");
  check(stranger.status === 401, `somebody who is no agent here got ${stranger.status}`);
  return `${role}, the agent ${agent.name}`;
});
process.exit(0);
