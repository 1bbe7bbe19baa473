// Who else is writing an answer to this ticket just now, so that two do not answer at once.
import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, Refused } from "../../api/client";
import { serverNow } from "../../live/clock";
import { agentName } from "../../live/people";
import { hint } from "../../live/stream";
import { me } from "../../session";
import { t } from "../../words/index";

/** A hint holds for ten seconds. */
const AGAIN_MS = 5_000;
let announced = { id: "", at: 0 };

/** Tells colleagues that an answer is being written. It is a hint: where it does not get through, nothing is lost. */
export async function announce(id: string): Promise<void> {
  if (announced.id === id && Date.now() - announced.at < AGAIN_MS) return;
  announced = { id, at: Date.now() };
  try {
    await ok(api.PUT("/v1/tickets/{ticket_id}/being-answered", { params: { path: { ticket_id: id } } }));
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    announced = { id: "", at: 0 };
  }
}

export function Writing(props: { id: string }): JSX.Element {
  const who = useSignal<string | null>(null);
  useSignalEffect(() => {
    const now = hint.value;
    if (now?.ticket_id !== props.id || now.agent_id === (me.value?.agent?.id ?? null)) return;
    who.value = now.agent_id ?? "";
    const timer = setTimeout(() => (who.value = null), Math.max(0, Date.parse(now.until) - serverNow()));
    return () => clearTimeout(timer);
  });
  const name = who.value === null ? "" : agentName(who.value) || t("somebody");
  return <p class="writing muted small" role="status">{name && t("isWriting", { name })}</p>;
}
