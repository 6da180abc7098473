/** Rollouts: which part of the users has a new version, how that fares, and what takes it back. For operators. */

import { useSignal } from "@preact/signals";
import {
  createRollout,
  listRollouts,
  type NewRollout,
  type Order,
  orderRollout,
  type Rollout,
  type Version,
} from "../api/rollouts.ts";
import { Notice } from "./notice.tsx";
import { overview } from "./overview.ts";
import { usePolled } from "./polled.ts";
import { admin } from "./session.ts";
import { lasting, measured } from "./shares.ts";

const EVERY_MS = 5000;
const STATES: Record<Rollout["state"], [string, string]> = {
  running: ["Running", "good"],
  paused: ["Paused", "warn"],
  done: ["Done", "good"],
  rolled_back: ["Rolled back", "bad"],
};
const POOLS = { origin: "origins", relay: "relays" };
const ORDERS: Record<Rollout["state"], [Order, string, string?][]> = {
  running: [
    ["pause", "Pause"],
    ["rollback", "Roll back", "Give everybody the stable version again?"],
  ],
  paused: [
    ["resume", "Resume"],
    ["rollback", "Roll back", "Give everybody the stable version again?"],
  ],
  done: [["rollback", "Roll back", "Give everybody the version before again?"]],
  rolled_back: [["again", "Roll out again", "Begin again with the first part of the users?"]],
};

export function Rollouts() {
  return admin.value ? <Of token={admin.value} /> : null;
}

function Of({ token }: { token: string }) {
  const { value, problem, act } = usePolled(listRollouts, token, EVERY_MS);
  const rollouts = value.value;
  return (
    <section class="card rollouts" aria-labelledby="rollouts">
      <header>
        <h2 id="rollouts">Rollout</h2>
      </header>
      {problem && <Notice problem={problem} />}
      {rollouts === null ? (
        <p class="nothing">Reading…</p>
      ) : (
        <>
          {rollouts.length === 0 && (
            <div class="nothing">
              <strong>All users have the version that their nodes run</strong>
              <p>
                Start nodes of a new version beside the others, then give it to a tenth of the users. It is
                taken back by itself when it does badly.
              </p>
            </div>
          )}
          {rollouts.map((one) => (
            <One
              key={one.id}
              rollout={one}
              onOrder={(order) => void act(() => orderRollout(one.id, order, token))}
            />
          ))}
          <New onCreate={(wanted) => void act(() => createRollout(wanted, token))} />
        </>
      )}
    </section>
  );
}

function One({ rollout, onOrder }: { rollout: Rollout; onOrder: (order: Order) => void }) {
  const [state, kind] = STATES[rollout.state];
  return (
    <article data-rollout={rollout.id} data-state={rollout.state}>
      <div class="top">
        <h3>
          {rollout.candidate} for {POOLS[rollout.role]}
          <small>
            instead of {rollout.stable}
            {rollout.attempt > 1 && `, attempt ${rollout.attempt}`}
          </small>
        </h3>
        <span class={`state ${kind}`}>{rollout.current ? state : `${state}, a later one counts`}</span>
        {rollout.current && (
          <div class="buttons">
            {ORDERS[rollout.state].map(([order, name, question]) => (
              <button
                key={order}
                type="button"
                class="button small quiet"
                onClick={() => {
                  if (!question || confirm(question)) onOrder(order);
                }}
              >
                {name}
              </button>
            ))}
          </div>
        )}
      </div>
      {rollout.reason && <p class="reason">{rollout.reason}</p>}
      {rollout.current && (
        <>
          <Phases rollout={rollout} />
          <Versions rollout={rollout} />
        </>
      )}
    </article>
  );
}

/** The phases as a bar: how far it is. */
function Phases({ rollout }: { rollout: Rollout }) {
  const left = rollout.phase_left_s === null ? "" : `, ${lasting(rollout.phase_left_s)} left in this phase`;
  return (
    <div class="split">
      {rollout.percent} % of the users{left}
      <div
        class="bar empty"
        role="img"
        aria-label={`${rollout.percent} % of the users have ${rollout.candidate}`}
      >
        <i class="webrtc" style={{ flexGrow: rollout.percent }} />
        <i style={{ flexGrow: 100 - rollout.percent }} />
      </div>
      <small>
        {rollout.phases.map((one) => `${one.percent} %${one.days ? ` ${one.days} d` : ""}`).join(" → ")}
      </small>
    </div>
  );
}

function Versions({ rollout }: { rollout: Rollout }) {
  const stable = rollout.versions.find((one) => one.version === rollout.stable);
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col" class="number">
              Users
            </th>
            <th scope="col" class="number">
              Nodes
            </th>
            <th scope="col" class="number">
              Requests
            </th>
            <th scope="col">Errors</th>
            <th scope="col">Latency</th>
            <th scope="col">Underruns a session</th>
            <th scope="col">GPU memory</th>
          </tr>
        </thead>
        <tbody>
          {rollout.versions.map((one) => (
            <Row key={one.version} version={one} stable={stable} rollout={rollout} />
          ))}
        </tbody>
      </table>
      <small class="under">
        Over the last {lasting(rollout.limits.window_s)}; a bar is full where the version is taken back, and
        it takes {rollout.limits.least_requests} requests to judge one.
      </small>
    </div>
  );
}

function Row({
  version,
  stable,
  rollout,
}: {
  version: Version;
  stable: Version | undefined;
  rollout: Rollout;
}) {
  const judged = version.version === rollout.candidate;
  const figures = measured(version, stable, rollout.limits);
  return (
    <tr data-version={version.version}>
      <th scope="row">{version.version || "not told"}</th>
      <td class="number">{Math.round(version.share * 100)} %</td>
      <td class="number">{version.nodes}</td>
      <td class="number">{version.requests}</td>
      {figures.map(({ name, told, part }) => (
        <td key={name} class="split">
          {told}
          {judged && part !== null && (
            <div class="bar empty" aria-hidden="true">
              <i class={part >= 1 ? "over" : "webrtc"} style={{ flexGrow: Math.min(1, part) }} />
              <i style={{ flexGrow: Math.max(0, 1 - part) }} />
            </div>
          )}
        </td>
      ))}
    </tr>
  );
}

function New({ onCreate }: { onCreate: (wanted: NewRollout) => void }) {
  const wanted = useSignal<NewRollout>({ role: "origin", stable: "", candidate: "" });
  const { role, stable, candidate } = wanted.value;
  const versions = [
    ...new Set(
      overview.value?.nodes.flatMap((row) => (row.node && row.role === role ? [row.node.version] : [])) ?? [],
    ),
  ].filter((one) => one !== "");
  const set = (change: Partial<NewRollout>): void => {
    wanted.value = { ...wanted.value, ...change };
  };
  return (
    <form
      class="asked"
      onSubmit={(event) => {
        event.preventDefault();
        onCreate(wanted.value);
      }}
    >
      <label>
        <span>Pool</span>
        <select
          value={role}
          onChange={(event) => set({ role: event.currentTarget.value === "relay" ? "relay" : "origin" })}
        >
          <option value="origin">Origins</option>
          <option value="relay">Relays</option>
        </select>
      </label>
      <VersionField title="Stable version" value={stable} onInput={(stable) => set({ stable })} />
      <VersionField title="New version" value={candidate} onInput={(candidate) => set({ candidate })} />
      <datalist id="versions">
        {versions.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
      <button type="submit" class="button small">
        Roll out
      </button>
    </form>
  );
}

/** One of the versions that run, or another. */
function VersionField(props: { title: string; value: string; onInput(value: string): void }) {
  return (
    <label>
      <span>{props.title}</span>
      <input
        required
        maxLength={64}
        list="versions"
        value={props.value}
        onInput={(event) => props.onInput(event.currentTarget.value)}
      />
    </label>
  );
}
