// What if: the past replayed under other policies and hours, by a job that changes nothing else.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok } from "../api/client";
import type { Schemas } from "../api/client";
import { usePolling, useReading } from "../live/reading";
import { go, href, route } from "../router";
import { can } from "../session";
import { Loaded } from "../ui/loaded";
import { Empty, Panel, When } from "../ui/parts";
import { attempt } from "../ui/toast";
import { number } from "../words/format";
import { t, word } from "../words/index";
import { DraftForm } from "./what-if-draft";
import { Found } from "./what-if-found";

export type Simulation = Schemas["SlaSimulationOut"];
const SHOWN = 10;

export function WhatIf(): JSX.Element {
  const { id } = route.value;
  const writing = useSignal(false);
  const reading = useReading("simulations", async () => (await ok(api.GET("/v1/sla-simulations", { params: { query: { limit: SHOWN } } }))).items);
  usePolling(reading, (found) => found.some((each) => each.state !== "done"));
  const may = can("sla:write");
  const drop = async (simulation: Simulation): Promise<void> => {
    await attempt(() => ok(api.DELETE("/v1/sla-simulations/{simulation_id}", { params: { path: { simulation_id: simulation.id } } })));
    if (id === simulation.id) go(href("what-if"));
    await reading.reload();
  };
  return (
    <div class="page">
      <div class="page-head">
        <h1>{t("whatIf")}</h1><span class="muted">{t("whatIfHint")}</span>
        {may && <button type="button" class="primary push" onClick={() => (writing.value = true)}>+ {t("newReplay")}</button>}
      </div>
      {writing.value && <DraftForm onClose={() => (writing.value = false)} onDone={(made) => { go(href("what-if", made)); void reading.reload(); }} />}
      <Panel title={t("replays")}>
        <Loaded of={reading}>
          {(found) => found.length ? (
            <ul class="plain">
              {found.map((each) => (
                <li key={each.id} class="row">
                  <a href={href("what-if", each.id)} aria-current={each.id === id ? "page" : undefined}><When at={each.from} /> – <When at={each.to} /></a>
                  <Progress of={each} />
                  {may && <button type="button" aria-label={`${t(each.state === "done" ? "remove" : "cancel")} ${each.id.slice(-6)}`} onClick={() => void drop(each)}>{t(each.state === "done" ? "remove" : "cancel")}</button>}
                </li>
              ))}
            </ul>
          ) : <Empty title={t("noReplays")}>{t("noReplaysHint")}</Empty>}
        </Loaded>
      </Panel>
      {id && <Found key={id} id={id} />}
    </div>
  );
}

/** How far it is, or what it came to. */
export function Progress(props: { of: Simulation }): JSX.Element {
  const { state, tickets_seen: seen, tickets_total: total, tickets_changed: changed } = props.of;
  return (
    <span class="muted">
      {word(state)} {state === "running" && <progress max={total ?? undefined} value={seen} aria-label={t("replays")} />} {number(seen)}{total === null ? "" : ` / ${number(total)}`} · {t("wouldBeOthers", { n: changed })}
    </span>
  );
}
