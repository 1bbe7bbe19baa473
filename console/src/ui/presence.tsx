// Where an agent says whether they take tickets, and how many at once.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { type Availability, presence, readPresence, sayPresence, STATES } from "../live/presence";
import { t } from "../words/index";
import { Choice } from "./parts";
import { attempt } from "./toast";

export function Presence(): JSX.Element | null {
  useEffect(() => void attempt(readPresence), []);
  const now = presence.value;
  if (!now) return null;
  const say = (state: string, capacity?: number): void => void attempt(() => sayPresence(state as Availability["state"], capacity));
  return (
    <div class="presence">
      <Choice label={t("iAm")} value={now.state} options={STATES} onChoose={(state) => say(state)} />
      {now.state === "online" && (
        <label class="choice">
          <span class="choice-label">{t("atOnce")}</span>
          <input type="number" min={0} max={1000} value={now.capacity} onChange={(event) => say("online", event.currentTarget.valueAsNumber || 0)} />
        </label>
      )}
    </div>
  );
}
