// Ctrl K: everything that can be gone to or done, by its name.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { takeNext } from "../actions";
import { go, href } from "../router";
import { signOut } from "../session";
import { places } from "../shell";
import { theme } from "../theme";
import { t } from "../words/index";
import { Dialog } from "./dialog";
import { type Command, commandsOpen, helpOpen, ofPage } from "./open";
import { attempt } from "./toast";

function all(): Command[] {
  return [
    ...ofPage.value,
    { name: t("next"), run: () => void attempt(() => takeNext()) },
    ...places().map((place) => ({ name: t(place.title), run: () => go(href(place.page)) })),
    { name: t("wallHint"), run: () => go(href("board", null, { wall: "1" })) },
    { name: `${t("theme")}: ${t("themeLight")}`, run: () => void (theme.value = "light") },
    { name: `${t("theme")}: ${t("themeDark")}`, run: () => void (theme.value = "dark") },
    { name: t("help"), run: () => void (helpOpen.value = true) },
    { name: t("signOut"), run: signOut },
  ];
}

export function Commands(): JSX.Element {
  const typed = useSignal("");
  const at = useSignal(0);
  const found = all().filter((each) => each.name.toLowerCase().includes(typed.value.toLowerCase()));
  const close = (): void => {
    commandsOpen.value = false;
    typed.value = "";
    at.value = 0;
  };
  const run = (command: Command | undefined): void => {
    close();
    command?.run();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter") run(found[at.value]);
    else if (event.key === "ArrowDown") at.value = Math.min(found.length - 1, at.value + 1);
    else if (event.key === "ArrowUp") at.value = Math.max(0, at.value - 1);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={t("commands")} onClose={close} class="commands">
      <input
        class="command-field" autoFocus role="combobox" aria-expanded="true" aria-controls="commands-found" aria-activedescendant={found.length ? `command-${at.value}` : undefined}
        aria-label={t("commandHint")} placeholder={t("commandHint")} onInput={(event) => { typed.value = event.currentTarget.value; at.value = 0; }} onKeyDown={onKeyDown}
      />
      <ul class="options" role="listbox" id="commands-found" aria-label={t("commands")}>
        {found.map((each, index) => (
          <li key={each.name} id={`command-${index}`} role="option" aria-selected={index === at.value} class="option" onClick={() => run(each)}>{each.name}</li>
        ))}
      </ul>
    </Dialog>
  );
}
