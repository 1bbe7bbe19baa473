// Parts of the console that are fetched when they are first shown, with the words beyond those of the first page.
import { signal } from "@preact/signals";
import type { ComponentType, JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Refused } from "../api/client";
import { learnMore } from "../words/index";
import { Failure, Skeleton } from "./parts";

export function lazy<P extends object>(fetch: () => Promise<ComponentType<P>>, lines = 6): ComponentType<P> {
  const found = signal<{ Shown: ComponentType<P> } | null>(null);
  const gone = signal(false);
  const load = async (): Promise<void> => {
    gone.value = false;
    try {
      const [Shown] = await Promise.all([fetch(), learnMore()]);
      found.value = { Shown };
    } catch (failed) {
      // The browser says so where it cannot fetch a script: the service is away, or has another release of it.
      if (!(failed instanceof TypeError)) throw failed;
      gone.value = true;
    }
  };
  return function Lazy(props: P): JSX.Element {
    useEffect(() => {
      if (!found.peek()) void load();
    }, []);
    if (gone.value) return <Failure of={new Refused(0, null, null)} retry={() => location.reload()} />;
    const { Shown } = found.value ?? {};
    return Shown ? <Shown {...props} /> : lines ? <Skeleton lines={lines} /> : <></>;
  };
}
