// A dialog of the browser's own: it keeps the focus, and Escape closes it.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../words/index";

export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren; class?: string }): JSX.Element {
  const place = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    place.current?.showModal();
    return () => before?.focus();
  }, []);
  return (
    <dialog ref={place} class={`dialog ${props.class ?? ""}`} aria-label={props.title} onClose={props.onClose} onClick={(event) => event.target === place.current && place.current?.close()}>
      <header class="panel-head">
        <h2>{props.title}</h2>
        <button type="button" class="quiet" onClick={() => place.current?.close()} aria-label={t("close")}>✕</button>
      </header>
      {props.children}
    </dialog>
  );
}
