// What was read, or that it is being read, or why it could not be.
import type { ComponentChildren, JSX } from "preact";
import type { Reading } from "../live/reading";
import { Failure, Skeleton } from "./parts";

export function Loaded<T>(props: { of: Reading<T>; lines?: number; children: (found: T) => ComponentChildren }): JSX.Element {
  const { data, failure, reload } = props.of;
  if (data.value !== null) return <>{props.children(data.value)}</>;
  return failure.value ? <Failure of={failure.value} retry={() => void reload()} /> : <Skeleton lines={props.lines ?? 3} />;
}
