/** Nodes: what each carries, and whether it should take no more. */

import { useSignal } from "@preact/signals";
import { drainNode } from "../api/nodes.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { bitrateText } from "../player/stats.ts";
import { Notice } from "./notice.tsx";
import { type NodeRow, overview, refresh } from "./overview.ts";
import { admin } from "./session.ts";

const ROLES = { origin: "Origin", relay: "Relay", packager: "Packager" };

export function Nodes() {
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
      {now === null ? (
        <p class="nothing">Reading…</p>
      ) : now.nodes.length === 0 ? (
        <div class="nothing">
          <strong>No node has registered</strong>
          <p>Start one with “avacast origin” or “avacast relay”; it appears here within seconds.</p>
        </div>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Node</th>
                <th scope="col">Role</th>
                <th scope="col">Region</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Serves
                </th>
                <th scope="col" class="number">
                  Sends
                </th>
                <th scope="col" class="number">
                  CPU
                </th>
                <th scope="col" class="number">
                  Heard
                </th>
                {admin.value && (
                  <th scope="col">
                    <span class="visually-hidden">Actions</span>
                  </th>
                )}
              </tr>
            </thead>
            <tbody>
              {now.nodes.map((row) => (
                <tr key={row.id} data-node={row.id}>
                  <th scope="row">{row.id}</th>
                  <td>{ROLES[row.role] ?? row.role}</td>
                  <td>{row.region}</td>
                  <td>
                    <State row={row} />
                  </td>
                  <td class="number">{row.transports}</td>
                  <td class="number">{bitrateText(row.egress_bps)}</td>
                  <td class="number">{Math.round(row.cpu_ratio * 100)} %</td>
                  <td class="number">{row.age_s < 1 ? "now" : `${Math.round(row.age_s)} s ago`}</td>
                  {admin.value && (
                    <td>
                      {row.node && (
                        <button type="button" class="button small quiet" onClick={() => void drain(row)}>
                          {row.node.draining ? "Take back" : "Drain"}
                        </button>
                      )}
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function State({ row }: { row: NodeRow }) {
  const late = row.age_s > 10;
  const state = row.node?.draining ? "draining" : (row.node?.state ?? (late ? "late" : "up"));
  const kind = late || state === "lapsed" ? "bad" : state === "up" ? "good" : "warn";
  return <span class={`state ${kind}`}>{state}</span>;
}
