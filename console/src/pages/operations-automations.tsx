// What the service does by itself: switched on and off, and how it goes about it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok } from "../api/client";
import type { Schemas } from "../api/client";
import { useReading } from "../live/reading";
import { can } from "../session";
import { Dialog } from "../ui/dialog";
import { Field, Form } from "../ui/form";
import { Loaded } from "../ui/loaded";
import { Choice, Panel } from "../ui/parts";
import { attempt } from "../ui/toast";
import { t, word } from "../words/index";

type Automation = Schemas["AutomationOut"];
type Offer = Schemas["OfferChoice"];
const OFFERS: readonly Offer[] = ["article", "call_back", "wait"];
// The least, the most and the step of each setting that is a number.
const NUMBERS = [
  ["after_days", 1, 3650, 1], ["before_seconds", 0, 86_400, 1], ["most", 1, 5, 1], ["min_score", 0, 1, 0.05],
] as const;

async function patch(automation_key: Automation["key"], body: Schemas["AutomationPatch"]): Promise<boolean> {
  const params = { path: { automation_key } };
  return (await attempt(() => ok(api.PATCH("/v1/automations/{automation_key}", { params, body })))) !== undefined;
}

export function Automations(): JSX.Element {
  const changing = useSignal<Automation | null>(null);
  const reading = useReading("automations", async () => (await ok(api.GET("/v1/automations"))).items, (event) => event.type.startsWith("automation."));
  const may = can("agents:write");
  const turn = async (each: Automation, enabled: boolean): Promise<void> => {
    await patch(each.key, { enabled });
    await reading.reload();
  };
  return (
    <Panel title={t("automations")}>
      <Loaded of={reading}>
        {(found) => (
          <ul class="plain">
            {found.map((each) => (
              <li key={each.key} class="row">
                {may ? <label class="check"><input type="checkbox" checked={each.enabled} onChange={(event) => void turn(each, event.currentTarget.checked)} /> {word(each.key)}</label> : <span>{each.enabled ? "✓" : `${t("off")}:`} {word(each.key)}</span>}
                {may && Object.values(each.settings).some((value) => value != null) && <button type="button" aria-label={`${t("change")}: ${word(each.key)}`} onClick={() => (changing.value = each)}>{t("change")}</button>}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {changing.value && <SettingsForm automation={changing.value} onClose={() => (changing.value = null)} onDone={() => void reading.reload()} />}
    </Panel>
  );
}

function SettingsForm(props: { automation: Automation; onClose: () => void; onDone: () => void }): JSX.Element {
  const { automation } = props;
  const { settings } = automation;
  const offered = useSignal<Offer[] | null>(settings.choices ?? null);
  const instead = useSignal<Record<string, Offer[]> | null>(settings.segment_choices ?? null);
  const submit = async (form: FormData): Promise<void> => {
    const numbers = NUMBERS.filter(([name]) => settings[name] != null).map(([name]) => [name, Number(form.get(name))]);
    // A segment that is there no more is told as null.
    const gone = Object.fromEntries(Object.keys(settings.segment_choices ?? {}).map((key) => [key, null]));
    const body: Schemas["SettingsPatch"] = {
      ...Object.fromEntries(numbers),
      ...(offered.value && { choices: offered.value }),
      ...(instead.value && { segment_choices: { ...gone, ...instead.value } }),
    };
    if (!(await patch(automation.key, { settings: body }))) return;
    props.onDone();
    props.onClose();
  };
  return (
    <Dialog title={word(automation.key)} onClose={props.onClose} class="wide">
      <Form onSend={submit}>
        {NUMBERS.map(([name, min, max, step]) => settings[name] != null && (
          <Field key={name} label={t(`set_${name}`)}><input name={name} type="number" min={min} max={max} step={step} required defaultValue={String(settings[name])} /></Field>
        ))}
        {offered.value && <OfferChoices label={t("whatIsOffered")} value={offered.value} onChange={(value) => (offered.value = value)} />}
        {instead.value && <OfSegments value={instead.value} onChange={(value) => (instead.value = value)} />}
        <button type="submit" class="primary">{t("save")}</button>
      </Form>
    </Dialog>
  );
}

function OfferChoices(props: { label: string; value: Offer[]; onChange: (value: Offer[]) => void; onRemove?: () => void }): JSX.Element {
  const { label, value, onChange, onRemove } = props;
  return (
    <fieldset class="rule">
      <legend class="small muted" dir="auto">{label}</legend>
      <div class="row">
        {OFFERS.map((each) => (
          <label key={each} class="check"><input type="checkbox" checked={value.includes(each)} onChange={(event) => onChange(OFFERS.filter((one) => (one === each ? event.currentTarget.checked : value.includes(one))))} /> {word(`offer_${each}`)}</label>
        ))}
        {onRemove && <button type="button" class="quiet" aria-label={`${t("remove")} ${label}`} onClick={onRemove}>✕</button>}
      </div>
      {!value.length && <p class="muted small">{t("nothingOffered")}</p>}
    </fieldset>
  );
}

/** What customers of some segments are offered instead. */
function OfSegments(props: { value: Record<string, Offer[]>; onChange: (value: Record<string, Offer[]>) => void }): JSX.Element {
  const { value, onChange } = props;
  const reading = useReading("segment-names", async () => (can("segments:read") ? (await ok(api.GET("/v1/segments", { params: { query: { limit: 200 } } }))).items : []));
  const names = new Map(reading.data.value?.map((each) => [each.key, each.name]));
  const others = [...names].filter(([key]) => !(key in value));
  return (
    <>
      {Object.entries(value).map(([key, offers]) => (
        <OfferChoices
          key={key} label={`${t("insteadIn")} ${names.get(key) ?? key}`} value={offers} onChange={(changed) => onChange({ ...value, [key]: changed })}
          onRemove={() => onChange(Object.fromEntries(Object.entries(value).filter(([each]) => each !== key)))}
        />
      ))}
      {others.length > 0 && <Choice label={t("insteadIn")} value="" options={[["", "–"], ...others]} onChoose={(key) => key && onChange({ ...value, [key]: [] })} />}
    </>
  );
}
