/** Costs: a broadcast by its listeners, the cheapest machines, a session, a user's month. For operators. */

import { useSignal } from "@preact/signals";
import { useCallback } from "preact/hooks";
import { type Asked, type Cost, type Machines, readCost } from "../api/cost.ts";
import { BillChart } from "./bills.tsx";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { admin } from "./session.ts";
import { money, NAMES, PARTS } from "./sums.ts";

const EVERY_MS = 60_000;
const SETTLE_MS = 250;

export function Costs() {
  return admin.value ? <Of token={admin.value} /> : null;
}

function Of({ token }: { token: string }) {
  const asked = useSignal<Asked>({ hours: 1, interactive: 0.1 });
  const { hours, interactive } = asked.value;
  const read = useCallback(
    (token: string, signal: AbortSignal): Promise<Cost> => readCost({ hours, interactive }, token, signal),
    [hours, interactive],
  );
  const { value: cost, failed } = usePolled(read, token, EVERY_MS, SETTLE_MS);

  const now = cost.value;
  return (
    <section class="card cost" aria-labelledby="cost">
      <header>
        <h2 id="cost">Cost</h2>
        <div class="asked">
          <label>
            <span>Hours</span>
            <input
              type="number"
              min="0.25"
              max="24"
              step="0.25"
              value={hours}
              onInput={(event) => {
                const value = event.currentTarget.valueAsNumber;
                if (value > 0 && value <= 720) asked.value = { ...asked.value, hours: value };
              }}
            />
          </label>
          <label>
            <span>Taking part</span>
            <input
              type="number"
              min="0"
              max="100"
              step="5"
              value={Math.round(interactive * 100)}
              onInput={(event) => {
                const value = event.currentTarget.valueAsNumber;
                if (value >= 0 && value <= 100) asked.value = { ...asked.value, interactive: value / 100 };
              }}
            />
            <span>%</span>
          </label>
        </div>
      </header>
      {failed.value && <Notice problem={failed.value} />}
      {now === null ? failed.value ? null : <p class="nothing">Reading…</p> : <Told cost={now} />}
    </section>
  );
}

function Told({ cost }: { cost: Cost }) {
  const { currency, mix } = cost;
  const show = (amount: number): string => money(amount, currency);
  return (
    <div class="told">
      <ul class="keys">
        {PARTS.map((part) => (
          <li key={part}>
            <i class="key" style={{ background: `var(--cost-${part})` }} />
            {NAMES[part]}
          </li>
        ))}
      </ul>
      <BillChart curve={cost.curve} currency={currency} />
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col" class="number">
                Listeners
              </th>
              <th scope="col" class="number">
                by WebRTC
              </th>
              {PARTS.map((part) => (
                <th scope="col" class="number" key={part}>
                  {NAMES[part]}
                </th>
              ))}
              <th scope="col" class="number">
                Broadcast
              </th>
              <th scope="col" class="number">
                a listener
              </th>
            </tr>
          </thead>
          <tbody>
            {cost.broadcasts.map((bill) => (
              <tr key={bill.listeners} data-listeners={bill.listeners}>
                <th scope="row" class="number">
                  {bill.listeners.toLocaleString("en")}
                </th>
                <td class="number">{bill.webrtc}</td>
                {PARTS.map((part) => (
                  <td class="number" key={part}>
                    {show(bill[part])}
                  </td>
                ))}
                <td class="number strong">{show(bill.total)}</td>
                <td class="number">{show(bill.listener)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <dl class="small-sums">
        <Sum
          name="An avatar for an hour"
          value={show(mix.stream_hour)}
          note={machinesText(mix.hours[0] ?? [])}
        />
        <Sum name="A session of 10 minutes" value={show(cost.session)} note="one viewer, one avatar" />
        <Sum
          name="A user's month"
          value={show(cost.user_month)}
          note={`an hour a day; goal below ${show(cost.user_month_target)}`}
        />
        <Sum name="1,000 films of a minute" value={show(cost.videos)} note="kept for a month, sent once" />
      </dl>
      <p class="fine">
        List prices of {cost.date}, {cost.region}. {exactText(cost)}
        {cost.spot_trouble && ` ${cost.spot_trouble}`}
      </p>
    </div>
  );
}

function exactText({ mix }: Cost): string {
  const many = mix.demand[0] ?? 0;
  const whom = many === 1 ? "one avatar" : `${many} avatars`;
  return mix.exact
    ? `No machines are cheaper for ${whom}.`
    : `For ${whom} at most ${(mix.gap * 100).toFixed(1)} % could be saved.`;
}

export function machinesText(machines: readonly Machines[]): string {
  if (machines.length === 0) return "no machine";
  return machines.map((one) => `${one.count} × ${one.type}${one.spot ? " (spot)" : ""}`).join(", ");
}

function Sum({ name, value, note }: { name: string; value: string; note: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        <small>{note}</small>
      </dd>
    </div>
  );
}
