// How one likes to see the console, and the way out of it.
import type { JSX } from "preact";
import { me, signOut } from "../session";
import { theme, type Theme } from "../theme";
import { type Language, language, LANGUAGES, speak, t } from "../words/index";
import { helpOpen, settingsOpen } from "./open";
import { Choice } from "./parts";

export function Settings(): JSX.Element {
  const themes = [["system", t("themeSystem")], ["light", t("themeLight")], ["dark", t("themeDark")]] as const;
  return (
    <div class="menu panel">
      <p class="muted small">{me.value?.role}</p>
      <Choice label={t("theme")} value={theme.value} options={themes} onChoose={(value) => (theme.value = value as Theme)} />
      <Choice
        label={t("language")}
        value={language.value}
        options={Object.entries(LANGUAGES)}
        onChoose={(value) => {
          localStorage.setItem("ninety.language", value);
          void speak(value as Language);
        }}
      />
      <button type="button" onClick={() => { settingsOpen.value = false; helpOpen.value = true; }}>{t("help")} <kbd>?</kbd></button>
      <button type="button" onClick={() => { settingsOpen.value = false; signOut(); }}>{t("signOut")} <span class="muted small">{t("signOutHint")}</span></button>
    </div>
  );
}
