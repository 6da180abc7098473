/** The audit log: what operators, API keys and publishers did last. For operators. */

import { type AuditEntry, listAudit } from "../api/sessions.ts";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { admin } from "./session.ts";
import { Table } from "./table.tsx";

const EVERY_MS = 5000;
const SHOWN = 50;
const VERBS: Record<string, string> = { POST: "did", PUT: "set", PATCH: "changed", DELETE: "ended" };
const ACTORS: Record<string, string> = {
  admin: "Operator",
  publisher: "Publisher",
  node: "Node",
  system: "Orchestrator",
};
const read = (token: string, signal: AbortSignal): Promise<AuditEntry[]> => listAudit(SHOWN, token, signal);

export function AuditLog() {
  return admin.value ? <Of token={admin.value} /> : null;
}

function Of({ token }: { token: string }) {
  const { value, failed } = usePolled(read, token, EVERY_MS);
  const entries = value.value;
  return (
    <section class="card" aria-labelledby="audit">
      <header>
        <h2 id="audit">Audit log</h2>
      </header>
      {failed.value && <Notice problem={failed.value} />}
      <Table
        rows={entries}
        columns={["When", "Who", "What", "Outcome", "From"]}
        empty={
          <>
            <strong>Nothing was changed yet</strong>
            <p>
              What operators, API keys and publishers do appears here, and stays for 90 days unless you set
              otherwise.
            </p>
          </>
        }
        class="audit"
      >
        {(entry) => (
          <tr key={entry.id}>
            <td>
              <time dateTime={entry.at}>{new Date(entry.at).toLocaleString()}</time>
            </td>
            <td>
              {ACTORS[entry.actor] ?? entry.key_name}
              {entry.key_id && <small>{entry.key_id}</small>}
            </td>
            <td>
              <Deed entry={entry} />
            </td>
            <td>
              <span class={entry.status < 400 ? "state good" : "state bad"}>
                {entry.status < 400 ? "Done" : `Refused (${entry.status})`}
              </span>
            </td>
            <td>{entry.address || "–"}</td>
          </tr>
        )}
      </Table>
    </section>
  );
}

/** What it made, or what was done to which path. */
function Deed({ entry: { method, path, made } }: { entry: AuditEntry }) {
  return (
    <>
      {made ? "made" : (VERBS[method] ?? method)} <code>{(made || path).replace(/^\/api\//, "")}</code>
    </>
  );
}
