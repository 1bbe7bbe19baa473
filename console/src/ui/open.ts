// What is opened from anywhere, and fetched when it is.
import { signal } from "@preact/signals";

export const commandsOpen = signal(false);
export const helpOpen = signal(false);
export const settingsOpen = signal(false);

export interface Command {
  name: string;
  run: () => void;
}

/** What the page that is shown adds to the commands. */
export const ofPage = signal<Command[]>([]);
