// One answer of the service that is kept fresh: read at each connection, and again after events that concern it.
import { effect, type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Refused } from "../api/client";
import type { StreamEvent } from "../api/wire";
import { connections, listen, tried } from "./stream";

export interface Reading<T> {
  data: Signal<T | null>;
  failure: Signal<Refused | null>;
  /** Whether it was read once: what was found may be nothing. */
  read: Signal<boolean>;
  reload: () => Promise<void>;
}

/** Reads with `read`; `concerns` says after which events to read again, at most once in `every` milliseconds. Reads
 * anew where `key` changes. */
export function useReading<T>(key: string, read: () => Promise<T>, concerns?: (event: StreamEvent) => boolean, every = 1000): Reading<T> {
  const reading = useMemo(() => {
    const data = signal<T | null>(null);
    const failure = signal<Refused | null>(null);
    const done = signal(false);
    let latest = 0;
    const reload = async (): Promise<void> => {
      const mine = (latest += 1);
      try {
        const found = await read();
        if (mine !== latest) return;
        data.value = found;
        failure.value = null;
        done.value = true;
      } catch (failed) {
        if (!(failed instanceof Refused)) throw failed;
        if (mine === latest) failure.value = failed;
      }
    };
    return { data, failure, read: done, reload };
  }, [key]);
  useEffect(() => {
    let timer = 0;
    const endings = [
      effect(() => {
        if (connections.value || tried.value) void reading.reload();
      }),
      listen((events) => {
        if (timer || !concerns || !events.some(concerns)) return;
        timer = window.setTimeout(() => {
          timer = 0;
          void reading.reload();
        }, every);
      }),
    ];
    return () => {
      clearTimeout(timer);
      for (const ending of endings) ending();
    };
  }, [reading]);
  return reading;
}

/** Reads again every so many milliseconds while what was found asks for it: no event tells of it. */
export function usePolling<T>(reading: Reading<T>, goesOn: (found: T) => boolean, every = 1000): void {
  useEffect(() => {
    const timer = window.setInterval(() => {
      const found = reading.data.peek();
      if (found !== null && goesOn(found)) void reading.reload();
    }, every);
    return () => clearInterval(timer);
  }, [reading]);
}
