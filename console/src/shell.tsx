// What is around every page: where one can go, whether what is shown is live, and how to leave.
import { useComputed } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { live, tried } from "./live/stream";
import { useKeys } from "./keys";
import { go, href, route } from "./router";
import { can, me } from "./session";
import { lazy } from "./ui/lazy";
import { commandsOpen, helpOpen, settingsOpen } from "./ui/open";
import { Toast } from "./ui/toast";
import { instant } from "./words/format";
import type { FirstWord } from "./words/en";
import { t } from "./words/index";

export interface Place {
  page: string;
  title: FirstWord;
  scope: string;
  key: string;
}

const PLACES: readonly Place[] = [
  { page: "board", title: "board", scope: "tickets:read", key: "g b" },
  { page: "queue", title: "queue", scope: "tickets:read", key: "g q" },
  { page: "promises", title: "promises", scope: "tickets:read", key: "g w" },
  { page: "reports", title: "reports", scope: "reports:read", key: "g r" },
  { page: "staffing", title: "staffing", scope: "reports:read", key: "g f" },
  { page: "customers", title: "customers", scope: "customers:read", key: "g c" },
  { page: "segments", title: "segments", scope: "segments:read", key: "g s" },
  { page: "policies", title: "policies", scope: "sla:read", key: "g p" },
  { page: "calendars", title: "calendars", scope: "sla:read", key: "g k" },
  { page: "what-if", title: "whatIf", scope: "sla:write", key: "g i" },
  { page: "operations", title: "operations", scope: "webhooks:read", key: "g o" },
];

/** The pages that the caller's role may see. */
export const places = (): Place[] => PLACES.filter((place) => can(place.scope));

const Help = lazy(async () => (await import("./ui/help")).Help, 0);
const Commands = lazy(async () => (await import("./ui/commands")).Commands, 0);
const Settings = lazy(async () => (await import("./ui/settings")).Settings, 0);

export function Shell(props: { children: ComponentChildren }): JSX.Element {
  useKeys({
    "?": () => (helpOpen.value = true),
    "Ctrl+k": () => (commandsOpen.value = true),
    ...Object.fromEntries(places().map((place) => [place.key, () => go(href(place.page))])),
  });
  const current = route.value.page === "tickets" ? "queue" : route.value.page;
  const late = useComputed(() => !live.value.on && tried.value);
  return (
    <div class={late.value ? "not-live" : ""}>
      <a class="skip" href="#content">{t("skip")}</a>
      <header class="top">
        <a class="wordmark" href={href("board")}>Ninety</a>
        <nav aria-label={t("menu")}>
          {places().map((place) => (
            <a key={place.page} href={href(place.page)} aria-current={current === place.page ? "page" : undefined}>{t(place.title)}</a>
          ))}
        </nav>
        <LiveSign />
        <div class="settings">
          <button type="button" aria-expanded={settingsOpen.value} onClick={() => (settingsOpen.value = !settingsOpen.value)}>
            {me.value?.agent?.name ?? me.value?.role ?? ""} ▾
          </button>
          {settingsOpen.value && <Settings />}
        </div>
      </header>
      {late.value && <Banner />}
      <main id="content" tabIndex={-1}>{props.children}</main>
      <Toast />
      {helpOpen.value && <Help />}
      {commandsOpen.value && <Commands />}
    </div>
  );
}

function LiveSign(): JSX.Element {
  const { on } = live.value;
  const text = on ? t("live") : tried.value ? t("notLive") : t("connecting");
  return <span class={`live ${on ? "live-on" : "live-off"}`} role="status"><span class="mark" aria-hidden="true">{on ? "●" : "○"}</span> {text}</span>;
}

function Banner(): JSX.Element {
  const { since } = live.value;
  return <p class="banner" role="alert">■ {since ? t("asOf", { time: instant(since, true) }) : t("neverLive")}</p>;
}
