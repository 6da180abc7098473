/** Nodes: what each carries, and whether it should take no more. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { type Drain, drainNode } from "../api/nodes.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { bitrateText } from "../player/stats.ts";
import { Notice } from "./notice.tsx";
import { type NodeRow, overview, refresh } from "./overview.ts";
import { admin } from "./session.ts";
import { stateOf } from "./spots.ts";
import { type Column, Table } from "./table.tsx";

const COLUMNS: Column[] = [
  "Node",
  "Role",
  "Region",
  "State",
  { number: "Serves" },
  { number: "Sends" },
  { number: "CPU" },
  { number: "Heard" },
];

const ROLES = { origin: "Origin", relay: "Relay", packager: "Packager" };

/** `map` shows where they are. */
export function Nodes({ map }: { map: ComponentChildren }) {
  const now = overview.value;
  const failed = useSignal<Problem | null>(null);
  const drain = async (row: NodeRow): Promise<void> => {
    if (!admin.value || !row.node) return;
    try {
      failed.value = null;
      await drainNode(row.id, !row.node.draining, admin.value);
      await refresh();
    } catch (thrown) {
      failed.value = problemFrom(thrown);
    }
  };
  return (
    <section class="card" aria-labelledby="nodes">
      <header>
        <h2 id="nodes">Nodes</h2>
      </header>
      {failed.value && <Notice problem={failed.value} />}
      {map}
      <Table
        rows={now?.nodes ?? null}
        columns={admin.value ? [...COLUMNS, { actions: "Actions" }] : COLUMNS}
        empty={
          <>
            <strong>No node has registered</strong>
            <p>Start one with “avacast origin” or “avacast relay”; it appears here within seconds.</p>
          </>
        }
      >
        {(row) => (
          <tr key={row.id} data-node={row.id}>
            <th scope="row">{row.id}</th>
            <td>{ROLES[row.role] ?? row.role}</td>
            <td>{row.region}</td>
            <td>
              <State row={row} />
              {row.node?.drain && <Progress drain={row.node.drain} />}
            </td>
            <td class="number">{row.transports}</td>
            <td class="number">{bitrateText(row.egress_bps)}</td>
            <td class="number">{Math.round(row.cpu_ratio * 100)} %</td>
            <td class="number">{row.age_s < 1 ? "now" : `${Math.round(row.age_s)} s ago`}</td>
            {admin.value && (
              <td>
                {row.node && (
                  <button
                    type="button"
                    class="button small quiet"
                    disabled={row.node.drain != null && row.node.drain.cause !== "operator"}
                    onClick={() => void drain(row)}
                  >
                    {row.node.draining ? "Take back" : "Drain"}
                  </button>
                )}
              </td>
            )}
          </tr>
        )}
      </Table>
    </section>
  );
}

/** What is left on a node that drains, and how long it has. */
function Progress({ drain }: { drain: Drain }) {
  const left = [
    counted(drain.viewers, "viewer"),
    counted(drain.streams, "stream"),
    counted(drain.nodes, "node"),
  ].filter((one) => one !== "");
  const why = drain.cause === "process" ? "its process ends" : drain.why;
  const told =
    drain.phase === "empty"
      ? "empty"
      : `${left.join(", ")} left, ${drain.phase === "overdue" ? "overdue" : `${Math.ceil(drain.left_s)} s`}`;
  return (
    <small data-drain={drain.phase}>
      {told}
      {why && ` (${why})`}
    </small>
  );
}

function counted(count: number, what: string): string {
  return count === 0 ? "" : `${count} ${what}${count === 1 ? "" : "s"}`;
}

function State({ row }: { row: NodeRow }) {
  const { state, kind } = stateOf(row);
  return <span class={`state ${kind}`}>{state}</span>;
}
