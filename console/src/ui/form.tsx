import type { ComponentChildren, JSX } from "preact";

/** A form that this page sends: with what is filled in, and the form itself. */
export function Form(props: { class?: string; onSend: (filled: FormData, form: HTMLFormElement) => Promise<void>; children: ComponentChildren }): JSX.Element {
  return (
    <form
      class={props.class ?? "form"}
      onSubmit={(event) => {
        event.preventDefault();
        void props.onSend(new FormData(event.currentTarget), event.currentTarget);
      }}
    >
      {props.children}
    </form>
  );
}

/** A field with its name above it, or before it where it stands in a row. */
export function Field(props: { label: ComponentChildren; inline?: boolean; children: ComponentChildren }): JSX.Element {
  return (
    <label class={props.inline ? "choice" : "field"}>
      <span class="choice-label">{props.label}</span>
      {props.children}
    </label>
  );
}
