// Customers who read along: they see the conversation and may answer in it.
import type { JSX } from "preact";
import { api, ok, once } from "../../api/client";
import { customerName } from "../../live/names";
import { useReading } from "../../live/reading";
import { href } from "../../router";
import { can } from "../../session";
import { Form } from "../../ui/form";
import { Loaded } from "../../ui/loaded";
import { attempt, say } from "../../ui/toast";
import { t } from "../../words/index";

export function Participants(props: { ticketId: string }): JSX.Element {
  const path = { ticket_id: props.ticketId };
  const reading = useReading(
    `participants ${props.ticketId}`,
    async () => (await ok(api.GET("/v1/tickets/{ticket_id}/participants", { params: { path, query: { limit: 100 } } }))).items,
    (event) => event.ticketid === props.ticketId && event.type.includes("participant"),
  );
  const may = can("tickets:write") && can("customers:read");
  const add = async (filled: FormData, form: HTMLFormElement): Promise<void> => {
    const wanted = String(filled.get("who")).trim();
    const done = await attempt(async () => {
      const { items } = await ok(api.GET("/v1/customers", { params: { query: { q: wanted, limit: 2 } } }));
      const [one, another] = items;
      if (!one || another) return say(t(one ? "severalFound" : "noneFoundCustomers"), true);
      return ok(api.POST("/v1/tickets/{ticket_id}/participants", { params: { path, header: once() }, body: { customer_id: one.id } }));
    });
    if (done) form.reset();
    await reading.reload();
  };
  const remove = async (customer_id: string): Promise<void> => {
    await attempt(() => ok(api.DELETE("/v1/tickets/{ticket_id}/participants/{customer_id}", { params: { path: { ...path, customer_id } } })));
    await reading.reload();
  };
  return (
    <section class="side-part" aria-label={t("participants")}>
      <h2>{t("participants")}</h2>
      <Loaded of={reading} lines={1}>
        {(found) => found.length ? (
          <ul>
            {found.map((each) => (
              <li key={each.customer_id} class="row">
                <a href={href("customers", each.customer_id)} dir="auto">{customerName(each.customer_id)}</a>
                {may && <button type="button" class="link" aria-label={`${t("remove")} ${customerName(each.customer_id)}`} onClick={() => void remove(each.customer_id)}>✕</button>}
              </li>
            ))}
          </ul>
        ) : <p class="muted small">{t("noParticipants")}</p>}
      </Loaded>
      {may && (
        <Form class="row" onSend={add}>
          <input name="who" class="grow" required maxLength={200} aria-label={t("addParticipant")} placeholder={t("customerSearch")} />
          <button type="submit">+</button>
        </Form>
      )}
    </section>
  );
}
