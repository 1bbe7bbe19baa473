// The English words of the first page: signing in, what is around every page, and the board. The others are in
// `en-more.ts`, and come with the first page that is opened after it.
import type { more } from "./en-more";

export type Plural = { one: string; other: string };

export const en = {
  board: "Board", queue: "Queue", promises: "Promises", reports: "Reports", customers: "Customers", segments: "Segments",
  policies: "Policies", calendars: "Calendars", operations: "Operations", staffing: "Staffing", whatIf: "What if", ticket: "Ticket", menu: "Pages",
  skip: "Skip to the content",
  live: "live", notLive: "not live", connecting: "connecting",
  asOf: "Not live. What you see is as of {time}.", neverLive: "Not live yet: waiting for the service.",
  awayHint: "The service cannot be reached. Trying again.",
  loading: "Loading", retry: "Try again", requestId: "Request {id}", failed: "That did not work",
  unreachable: "The service cannot be reached.",
  noPage: "There is no such page.",
  none: "none", unknown: "unknown",
  // Durations and states
  seconds: "seconds", ofTarget: "of {target}",
  late: "past the promise by {time}", dueIn: "due in {time}", noDue: "no promise runs",
  state_waiting: "waiting", state_risk: "at risk",
  // Board
  goal: "Goal", goalMet: "kept", goalMissed: "missed", goalNoData: "no answers yet",
  breaksIn: "breaks in {time} if nobody answers", neverBreaks: "nobody is waiting long enough to break it",
  recovers: "missed until the mean falls below {target}",
  meanAnswered: "answered only", answered: "answered", running: "waiting", left: "left unanswered",
  excludedNote: { one: "{n} excluded", other: "{n} excluded" } as Plural, budget: "budget spent", window: "last {time}", windowDay: "today in {zone}",
  noGoal: "No goal yet", noGoalHint: "A goal is what you promise on average. A lead writes one under Reports.",
  figWaiting: "waiting", figWaitingHint: "for a first or next answer", figOldest: "longest wait", figRisk: "at risk", figRiskHint: "soon past the promise",
  figLate: "past the promise", figHuman: "ask for a person", figHumanHint: "they come first",
  byTeam: "By team", allTeams: "All teams", noTeam: "no team",
  waitingList: "Waiting", quiet: "Nobody is waiting.", quietHint: "The last answers took {time} on average.", quietNext: "New tickets appear here by themselves.",
  fresh: { one: "{n} new", other: "{n} new" } as Plural, freshHint: "the order waits while you point or type here",
  // Columns
  due: "Due", number: "No.", subject: "Subject", customer: "Customer", priority: "Priority", channel: "Channel",
  segment: "Segment", who: "Who", status: "Status", team: "Team", oldest: "Longest wait", open: "Open",
  select: "Select",
  asksPerson: "asks for a person",
} as const;

type Loose<T> = { [K in keyof T]: T[K] extends Plural ? Plural : string };
/** What the first page may say. */
export type FirstWord = keyof typeof en;
export type Words = Loose<typeof en & typeof more>;
