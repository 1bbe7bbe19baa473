// Files of a ticket: up with the answer they belong to, down as a download.
import { type Signal, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { api, download, ok, once, save } from "../../api/client";
import type { Schemas } from "../../api/client";
import { useReading } from "../../live/reading";
import { attempt } from "../../ui/toast";
import { number } from "../../words/format";
import { t } from "../../words/index";

type Attachment = Schemas["AttachmentOut"];

export interface Uploads {
  files: Signal<Attachment[]>;
  busy: Signal<boolean>;
  add: (files: FileList, internal: boolean) => Promise<void>;
  ids: () => string[];
  clear: () => void;
}

export function useUploads(ticketId: string): Uploads {
  return useMemo(() => {
    const files = signal<Attachment[]>([]);
    const busy = signal(false);
    const add = async (chosen: FileList): Promise<void> => {
      busy.value = true;
      for (const file of chosen) {
        const params = { path: { ticket_id: ticketId }, query: { name: file.name }, header: once() };
        const request = api.POST("/v1/tickets/{ticket_id}/attachments", {
          params, body: file as never, headers: { "Content-Type": file.type || "application/octet-stream" },
        });
        const made = await attempt(() => ok(request));
        if (made) files.value = [...files.value, made];
      }
      busy.value = false;
    };
    return { files, busy, add, ids: () => files.value.map((file) => file.id), clear: () => void (files.value = []) };
  }, [ticketId]);
}

export function Upload(props: { uploads: Uploads; internal: boolean }): JSX.Element {
  const { files, busy, add } = props.uploads;
  return (
    <span class="upload">
      <label class="file-button">
        <input type="file" multiple class="hidden" onChange={(event) => event.currentTarget.files && void add(event.currentTarget.files, props.internal)} />
        + {busy.value ? t("loading") : t("attach")}
      </label>
      {files.value.map((file) => <span key={file.id} class="tag">{file.name}</span>)}
    </span>
  );
}

export function Files(props: { ticketId: string }): JSX.Element | null {
  const params = { path: { ticket_id: props.ticketId }, query: { limit: 200 } };
  const reading = useReading(
    `files ${props.ticketId}`,
    async () => (await ok(api.GET("/v1/tickets/{ticket_id}/attachments", { params }))).items.filter((file) => !file.deleted_at),
    (event) => event.ticketid === props.ticketId && event.type.startsWith("attachment."),
  );
  if (!reading.data.value?.length) return null;
  const get = async (file: Attachment): Promise<void> => {
    const blob = await attempt(() => download(`/v1/tickets/${file.ticket_id}/attachments/${file.id}/content`));
    if (blob) save(blob, file.name);
  };
  return (
    <section class="side-part" aria-label={t("files")}>
      <h2>{t("files")}</h2>
      <ul>
        {reading.data.value.map((file) => (
          <li key={file.id}>
            <button type="button" class="link" dir="auto" onClick={() => void get(file)}>{file.name}</button>{" "}
            <span class="muted small">{number(Math.ceil(file.size_bytes / 1024))} kB{file.visibility === "internal" ? ` · ✎ ${t("internal")}` : ""}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
