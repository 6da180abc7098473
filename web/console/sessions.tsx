/** Sessions: who talks to which avatar, where, and until when. For operators. */

import { useSignal } from "@preact/signals";
import { type Problem, problemFrom } from "../api/problem.ts";
import { endSession, listSessions, type Session } from "../api/sessions.ts";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { clock } from "./script.ts";
import { admin } from "./session.ts";

const EVERY_MS = 3000;

export function Sessions() {
  return admin.value ? <Of token={admin.value} /> : null;
}

function Of({ token }: { token: string }) {
  const { value, failed, round } = usePolled(listSessions, token, EVERY_MS);
  const refused = useSignal<Problem | null>(null);
  const end = async (session: Session): Promise<void> => {
    try {
      refused.value = null;
      await endSession(session.id, token);
    } catch (thrown) {
      refused.value = problemFrom(thrown);
    }
    round.value++;
  };
  const problem = refused.value ?? failed.value;
  const sessions = value.value;
  return (
    <section class="card" aria-labelledby="sessions">
      <header>
        <h2 id="sessions">Sessions</h2>
      </header>
      {problem && <Notice problem={problem} />}
      {sessions === null ? (
        <p class="nothing">Reading…</p>
      ) : sessions.length === 0 ? (
        <div class="nothing">
          <strong>Nobody talks to an avatar alone</strong>
          <p>Your app makes a session by POST /api/sessions and gives its token to one person.</p>
        </div>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Person</th>
                <th scope="col">Avatar</th>
                <th scope="col">State</th>
                <th scope="col">Origin</th>
                <th scope="col">Region</th>
                <th scope="col" class="number">
                  Ends in
                </th>
                <th scope="col">
                  <span class="visually-hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {sessions.map((session) => (
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
                          void end(session);
                      }}
                    >
                      End
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
