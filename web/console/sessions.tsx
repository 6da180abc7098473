/** Sessions: who talks to which avatar, where, and until when. For operators. */

import { endSession, listSessions } from "../api/sessions.ts";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { clock } from "./script.ts";
import { admin } from "./session.ts";
import { Table } from "./table.tsx";

const EVERY_MS = 3000;

export function Sessions() {
  return admin.value ? <Of token={admin.value} /> : null;
}

function Of({ token }: { token: string }) {
  const { value, problem, act } = usePolled(listSessions, token, EVERY_MS);
  const sessions = value.value;
  return (
    <section class="card" aria-labelledby="sessions">
      <header>
        <h2 id="sessions">Sessions</h2>
      </header>
      {problem && <Notice problem={problem} />}
      <Table
        rows={sessions}
        columns={[
          "Person",
          "Avatar",
          "State",
          "Origin",
          "Region",
          { number: "Ends in" },
          { actions: "Actions" },
        ]}
        empty={
          <>
            <strong>Nobody talks to an avatar alone</strong>
            <p>Your app makes a session by POST /api/sessions and gives its token to one person.</p>
          </>
        }
      >
        {(session) => (
          <tr key={session.id} data-session={session.id}>
            <th scope="row">
              {session.user ?? "Somebody"}
              <small>{session.id}</small>
            </th>
            <td>{session.avatar ?? "–"}</td>
            <td>
              <span class={session.state === "live" ? "state good" : "state warn"}>
                {session.state === "live" ? "Live" : "Preparing"}
              </span>
            </td>
            <td>{session.origin ?? "–"}</td>
            <td>{session.region ?? "–"}</td>
            <td class="number">{clock((Date.parse(session.ends_at) - Date.now()) / 1000)}</td>
            <td class="number">
              <button
                type="button"
                class="button small quiet"
                onClick={() => {
                  if (confirm("End this session for good? What was said in it is deleted."))
                    void act(() => endSession(session.id, token));
                }}
              >
                End
              </button>
            </td>
          </tr>
        )}
      </Table>
    </section>
  );
}
