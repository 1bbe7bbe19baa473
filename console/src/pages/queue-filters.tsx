// Filters of the queue and saved views. What is set is in the address.
import type { JSX, RefObject } from "preact";
import { api, ok, once } from "../api/client";
import { useReading } from "../live/reading";
import { agents, teams } from "../live/people";
import { go, href, route, setParams } from "../router";
import { can, me } from "../session";
import { Choice } from "../ui/parts";
import { PRIORITIES, STATUSES } from "../ui/picker";
import { attempt } from "../ui/toast";
import { t, word } from "../words/index";

export const FILTERS = ["status", "priority", "type", "channel", "team_id", "assignee_id", "customer_id", "segment", "tag", "product", "sla", "needs_human", "snoozed", "spam", "q"] as const;
export const CHANNELS = ["web", "email", "phone", "chat", "social", "api", "in_person"] as const;

type Option = readonly [string, string];

export function Filters(props: { search: RefObject<HTMLInputElement | null> }): JSX.Element {
  const { params } = route.value;
  const value = (name: string): string => params.get(name) ?? "";
  const set = (name: string) => (chosen: string): void => setParams({ [name]: chosen });
  const staff: Option[] = [...agents.value.values()].map((each) => [each.id, each.name]);
  const whose: Option[] = [["", t("all")], ["none", t("unassigned")], ...(me.value?.agent ? [["me", t("mine")] as const] : []), ...staff];
  const groups: Option[] = [["", t("allTeams")], ...[...teams.value.values()].map((each): Option => [each.id, each.name])];
  const words = <T extends string>(all: readonly T[]): Option[] => all.map((each) => [each, word(each)]);
  return (
    <form
      class="filters"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        setParams({ q: props.search.current?.value ?? "" });
      }}
    >
      <Views />
      <label class="search">
        <span class="hidden">{t("search")}</span>
        <input ref={props.search} type="search" key={value("q")} defaultValue={value("q")} placeholder={`${t("search")} (/)`} title={t("searchHint")} maxLength={200} />
      </label>
      <Choice label={t("status")} value={value("status")} options={[["", `${word("new")}, ${word("open")}`], ["any", t("any")], ...words(STATUSES)]} onChoose={set("status")} />
      <Choice label={t("who")} value={value("assignee_id")} options={whose} onChoose={set("assignee_id")} />
      {groups.length > 1 && <Choice label={t("team")} value={value("team_id")} options={groups} onChoose={set("team_id")} />}
      <Choice label={t("priority")} value={value("priority")} options={[["", t("any")], ...words(PRIORITIES)]} onChoose={set("priority")} />
      <Choice label={t("channel")} value={value("channel")} options={[["", t("any")], ...words(CHANNELS)]} onChoose={set("channel")} />
      <Choice label={t("due")} value={value("sla")} options={[["", t("any")], ["at_risk", `▲ ${t("figRisk")}`], ["breached", `■ ${t("figLate")}`]]} onChoose={set("sla")} />
      <Choice label={t("snoozed")} value={value("spam") ? "spam" : value("snoozed")} options={[["", t("hidden")], ["any", t("shown")], ["spam", t("onlySpam")]]} onChoose={(chosen) => setParams(chosen === "spam" ? { spam: "true", snoozed: null } : { spam: null, snoozed: chosen })} />
      {params.size > 0 && <button type="button" class="quiet" onClick={() => go(href("queue"))}>{t("clear")}</button>}
    </form>
  );
}

function Views(): JSX.Element | null {
  const reading = useReading("views", async () => (await ok(api.GET("/v1/views", { params: { query: { limit: 200 } } }))).items, (event) => event.type.startsWith("view."));
  const views = reading.data.value ?? [];
  const open = (id: string): void => {
    const view = views.find((each) => each.id === id);
    if (!view) return;
    const chosen = Object.entries(view.filter).map(([name, value]): [string, string] => [name, value === null ? "" : String(value)]);
    go(href("queue", null, { ...Object.fromEntries(chosen), sort: view.sort === "due_at" ? "" : view.sort }));
  };
  const save = async (): Promise<void> => {
    const name = window.prompt(t("viewName"));
    if (!name) return;
    const filter: Record<string, unknown> = {};
    for (const each of FILTERS) {
      const value = route.value.params.get(each);
      if (value && value !== "any") filter[each] = each === "q" ? value : ["needs_human", "snoozed", "spam"].includes(each) ? value === "true" : value.split(",");
    }
    await attempt(() => ok(api.POST("/v1/views", { params: { header: once() }, body: { name, filter } })));
    await reading.reload();
  };
  return (
    <>
      {views.length > 0 && <Choice label={t("views")} value="" options={[["", "…"], ...views.map((each): Option => [each.id, each.name])]} onChoose={open} />}
      {can("tickets:write") && route.value.params.size > 0 && <button type="button" class="quiet" onClick={() => void save()}>{t("saveView")}</button>}
    </>
  );
}
