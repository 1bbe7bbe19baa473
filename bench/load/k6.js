// The same desk for k6 (https://k6.io), with an admin key in KEY:
// `k6 run -e KEY=$(cat var/admin.key) -e URL=http://127.0.0.1:8000 bench/load/k6.js`.
// Tickets come at a constant rate, whatever the service does. Refusals are counted by their code.
import { check } from "k6";
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";

const URL = __ENV.URL || "http://127.0.0.1:8000";
const HEADERS = { Authorization: `Bearer ${__ENV.KEY}`, "Content-Type": "application/json" };
const refused = new Counter("refused");
const firstAnswer = new Trend("open_and_answer", true);

export const options = {
  scenarios: {
    tickets: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE || 10),
      timeUnit: "1s",
      duration: __ENV.DURATION || "30s",
      preAllocatedVUs: 20,
      maxVUs: 200,
      exec: "ticket",
    },
    lists: { executor: "constant-vus", vus: 2, duration: __ENV.DURATION || "30s", exec: "look" },
  },
  thresholds: { "refused{status:503}": ["count<1"], "http_req_duration{name:open}": ["p(95)<500"] },
};

export function ticket() {
  const customer = { external_id: `k6-${Math.floor(Math.random() * 100000)}` };
  const opened = post("open", "/v1/tickets", { subject: "Charged twice", channel: "web", customer });
  if (opened.status !== 201) return;
  const answered = post("answer", `/v1/tickets/${opened.json("id")}/messages`, { body: "It is on its way." });
  if (answered.status === 201) firstAnswer.add(opened.timings.duration + answered.timings.duration);
}

export function look() {
  judged(http.get(`${URL}/v1/tickets?status=new,open&sort=due_at&limit=20`, { headers: HEADERS, tags: { name: "look" } }));
}

function post(name, path, body) {
  return judged(http.post(URL + path, JSON.stringify(body), { headers: HEADERS, tags: { name } }));
}

function judged(answer) {
  check(answer, { "is a success": (it) => it.status < 300 });
  if (answer.status >= 400) {
    refused.add(1, { status: String(answer.status), code: answer.json("code") || "none" });
  }
  return answer;
}
