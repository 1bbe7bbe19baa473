// What the customer is told of the answer that they wait for, and what is likely.
import type { JSX } from "preact";
import { api, ok } from "../../api/client";
import type { Schemas } from "../../api/client";
import { useReading } from "../../live/reading";
import { Panel, When } from "../../ui/parts";
import { number, percent } from "../../words/format";
import { t, word } from "../../words/index";

export function Outlook(props: { id: string }): JSX.Element | null {
  const reading = useReading(
    `outlook ${props.id}`,
    () => ok(api.GET("/v1/tickets/{ticket_id}/outlook", { params: { path: { ticket_id: props.id } } })),
    (event) => event.ticketid === props.id,
  );
  const found = reading.data.value;
  if (!found) return null;
  const { likely_by: likely, place_in_queue: place, chance_within_target: chance } = found;
  return (
    <Panel title={t("told")}>
      <q class="told" dir="auto" lang={found.language}>{found.text}</q>
      {place !== null && (
        <dl class="facts">
          <div><dt>{t("placeInQueue")}</dt><dd>{number(place)}</dd></div>
          {chance !== null && <div><dt>{t("chanceInTime")}</dt><dd>{percent(chance * 100)}</dd></div>}
          {likely && (["p50", "p80", "p95"] as const).map((each) => <div key={each}><dt>{t(each)}</dt><dd><When at={likely[each]} precise /></dd></div>)}
        </dl>
      )}
      {found.offer && <Offered offer={found.offer} />}
      {found.why && <p class="muted small">{t("notKnown")}: {word(found.why)}</p>}
    </Panel>
  );
}

/** Another way to an answer, which the customer was offered because many waited, and what they chose of it. */
function Offered(props: { offer: Schemas["OverloadOffer"] }): JSX.Element {
  const { offer } = props;
  return (
    <dl class="facts">
      <div><dt>{t("wasOffered")}</dt><dd>{offer.choices.map((each) => word(`offer_${each}`)).join(", ")} · <When at={offer.offered_at} precise /></dd></div>
      <div>
        <dt>{t("customerChose")}</dt>
        <dd>{offer.chosen ? <><strong>✓ {word(`offer_${offer.chosen}`)}</strong> · <When at={offer.chosen_at} precise /></> : t("nothingYet")}</dd>
      </div>
      {offer.call_back_by && <div><dt>{t(offer.chosen === "call_back" ? "callBackBy" : "callBackWould")}</dt><dd><When at={offer.call_back_by} precise /></dd></div>}
    </dl>
  );
}
