import type { JSX } from "preact";
import { singleKeys, switchKeys } from "../keys";
import { t } from "../words/index";
import { Dialog } from "./dialog";
import { helpOpen } from "./open";

const ROWS = [
  ["j k", "k_move"], ["Enter", "k_open"], ["x", "k_select"], ["r", "k_reply"], ["n", "k_note"], ["=", "k_take"], ["a", "k_assign"], ["p", "k_priority"],
  ["s", "k_status"], ["e", "k_resolve"], ["u", "k_next"], ["/", "k_search"], ["Ctrl K", "k_commands"], ["g b q w r f c s p k i o", "k_pages"], ["?", "k_help"],
  ["Esc", "k_back"], ["Ctrl Enter", "k_send"],
] as const;

/** What the keys do, and the switch that makes them do nothing. */
export function Help(): JSX.Element {
  return (
    <Dialog title={t("help")} onClose={() => (helpOpen.value = false)}>
      <dl class="keys">
        {ROWS.map(([keys, what]) => (
          <div key={what}><dt>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{t(what)}</dd></div>
        ))}
      </dl>
      <label class="check"><input type="checkbox" checked={singleKeys.value} onChange={(event) => switchKeys(event.currentTarget.checked)} /> {t("keysOn")}</label>
      <p class="muted small">{t("keysHint")}</p>
    </Dialog>
  );
}
