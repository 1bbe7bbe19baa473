import { type ComponentType, type JSX, render } from "preact";
import { useEffect } from "preact/hooks";
import { start } from "./live/stream";
import { Board } from "./pages/board";
import { route } from "./router";
import { checking, me, refusal, resume } from "./session";
import { places, Shell } from "./shell";
import { lazy } from "./ui/lazy";
import { Empty } from "./ui/parts";
import { preferred, speak, t } from "./words/index";
import "./theme";

// The board comes with the first page, everything else when it is opened.
const PAGES: Record<string, ComponentType> = {
  board: Board,
  tickets: lazy(async () => (await import("./pages/ticket/index")).TicketPage),
  promises: lazy(async () => (await import("./pages/promises")).PromiseList),
  reports: lazy(async () => (await import("./pages/reports")).Reports),
  customers: lazy(async () => (await import("./pages/customers")).Customers),
  segments: lazy(async () => (await import("./pages/segments")).Segments),
  policies: lazy(async () => (await import("./pages/policies")).Policies),
  calendars: lazy(async () => (await import("./pages/calendars")).Calendars),
  operations: lazy(async () => (await import("./pages/operations")).Operations),
  staffing: lazy(async () => (await import("./pages/staffing")).Staffing),
  "what-if": lazy(async () => (await import("./pages/what-if")).WhatIf),
  queue: lazy(async () => (await import("./pages/queue")).Queue),
};

const SignIn = lazy(async () => (await import("./pages/sign-in")).SignIn, 0);

function Page(): JSX.Element {
  const { page } = route.value;
  const Shown = PAGES[page];
  useEffect(() => {
    const place = places().find((each) => each.page === page);
    document.title = place ? `${t(place.title)} · Ninety` : "Ninety";
  });
  return Shown ? <Shown /> : <Empty title={t("noPage")} />;
}

function App(): JSX.Element {
  useEffect(() => {
    if (me.value) start();
  }, [me.value]);
  if (checking.value) return <main class="sign-in" id="content"><h1 class="wordmark">Ninety</h1>{refusal.value && <p role="status">{t("awayHint")}</p>}</main>;
  return me.value ? <Shell><Page /></Shell> : <SignIn />;
}

void (async () => {
  if (preferred() !== "en") await speak(preferred());
  await Promise.all([resume(), render(<App />, document.getElementById("app") as HTMLElement)]);
})();
