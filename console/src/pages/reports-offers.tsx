// What became of the other ways to an answer that were offered while goals were about to be missed.
import type { JSX } from "preact";
import { api, download, ok, save } from "../api/client";
import type { OverloadReport } from "../api/wire";
import { useReading } from "../live/reading";
import { Figures } from "../ui/figures";
import { Loaded } from "../ui/loaded";
import { Empty, Panel } from "../ui/parts";
import { attempt } from "../ui/toast";
import { number } from "../words/format";
import { t, word } from "../words/index";

const CHOSEN = ["article", "call_back", "wait", "person"] as const;

export function Offers(props: { from: string; to: string }): JSX.Element {
  const asked = { from: props.from, to: props.to, group_by: "segment" };
  const reading = useReading(`offers ${asked.from}`, async () => ((await ok(api.GET("/v1/reports/overload-offers", { params: { query: asked as never } }))) as OverloadReport).items, (event) => /^ticket\.overload/.test(event.type), 3000);
  const csv = async (): Promise<void> => {
    const blob = await attempt(() => download(`/v1/reports/overload-offers?${new URLSearchParams(asked)}`, "text/csv"));
    if (blob) save(blob, "overload-offers.csv");
  };
  return (
    <Panel title={t("overloadOffers")} actions={<button type="button" aria-label={`CSV: ${t("overloadOffers")}`} onClick={() => void csv()}>CSV</button>}>
      <Loaded of={reading}>
        {(rows) => rows.length ? (
          <Figures
            label={t("overloadOffers")}
            heads={[t("segment"), t("wasOffered"), ...CHOSEN.map((each) => word(`offer_${each}`)), t("undecided"), `✓ ${t("callBacksKept")}`, `■ ${t("callBacksLate")}`]}
            rows={rows.map((row) => [row.segment ?? t("none"), ...[row.offered, ...CHOSEN.map((each) => row[each]), row.undecided, row.call_backs_kept, row.call_backs_late].map((each) => number(each))])}
          />
        ) : <Empty title={t("noOffers")}>{t("noOffersHint")}</Empty>}
      </Loaded>
    </Panel>
  );
}
