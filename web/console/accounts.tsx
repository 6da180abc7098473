/** Accounts: API keys, what each may and when it was used; made, rotated and revoked. For operators. */

import { useSignal } from "@preact/signals";
import { type Key, listKeys, type MadeKey, revokeKey } from "../api/keys.ts";
import { SecretDialog } from "./dialogs.tsx";
import { NewKeyDialog, RotateDialog } from "./key_dialogs.tsx";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { admin } from "./session.ts";
import { Table } from "./table.tsx";
import { ago, until } from "./times.ts";

const EVERY_MS = 5000;

export function Accounts() {
  return admin.value ? <Of token={admin.value} /> : null;
}

function Of({ token }: { token: string }) {
  const { value, problem, round, act } = usePolled(listKeys, token, EVERY_MS);
  const making = useSignal(false);
  const rotating = useSignal<Key | null>(null);
  const made = useSignal<MadeKey | null>(null);
  const show = (key: MadeKey): void => {
    making.value = false;
    rotating.value = null;
    made.value = key;
    round.value++;
  };
  const keys = value.value;
  return (
    <section class="card" aria-labelledby="accounts">
      <header>
        <h2 id="accounts">Accounts</h2>
        <button type="button" class="button small" onClick={() => (making.value = true)}>
          New API key
        </button>
      </header>
      {problem && <Notice problem={problem} />}
      <Table
        rows={keys}
        columns={["Name", "May", "Used", "Valid", { actions: "Actions" }]}
        empty={
          <>
            <strong>No app has a key yet</strong>
            <p>Give each app an API key with just what it needs, and keep the admin token to yourself.</p>
          </>
        }
      >
        {(key) => (
          <Row
            key={key.id}
            held={key}
            onRotate={() => (rotating.value = key)}
            onRevoke={() => void act(() => revokeKey(key.id, token))}
          />
        )}
      </Table>
      {making.value && <NewKeyDialog token={token} onMade={show} onClose={() => (making.value = false)} />}
      {rotating.value && (
        <RotateDialog
          held={rotating.value}
          token={token}
          onMade={show}
          onClose={() => (rotating.value = null)}
        />
      )}
      {made.value && (
        <SecretDialog
          title={`The key of ${made.value.name}`}
          text="It is shown only now. Who loses it has it rotated."
          secret={made.value.secret}
          onClose={() => (made.value = null)}
        />
      )}
    </section>
  );
}

function Row({ held, onRotate, onRevoke }: { held: Key; onRotate(): void; onRevoke(): void }) {
  const now = Date.now();
  const old = held.old_until !== null && Date.parse(held.old_until) > now ? held.old_until : null;
  const expired = held.expires_at !== null && Date.parse(held.expires_at) <= now;
  return (
    <tr data-key={held.id}>
      <th scope="row">
        {held.name}
        <small>{held.id}</small>
      </th>
      <td>
        <ul class="scopes">
          {held.scopes.map((scope) => (
            <li key={scope}>{scope}</li>
          ))}
        </ul>
        {held.only && <small>only {held.only.join(", ")}</small>}
      </td>
      <td>{ago(held.used_at, now)}</td>
      <td>
        {expired ? (
          <span class="state bad">Expired</span>
        ) : held.expires_at ? (
          `for ${until(held.expires_at, now)}`
        ) : (
          "until revoked"
        )}
        {old && (
          <small>
            old secret for {until(old, now)},{" "}
            {held.old_used_at ? `used ${ago(held.old_used_at, now)}` : "not used"}
          </small>
        )}
      </td>
      <td>
        <div class="actions">
          <button type="button" class="button small quiet" onClick={onRotate}>
            Rotate
          </button>
          <button
            type="button"
            class="button small quiet"
            onClick={() => {
              if (
                confirm(`Revoke the key of ${held.name} for good? Whoever uses it is refused within seconds.`)
              )
                onRevoke();
            }}
          >
            Revoke
          </button>
        </div>
      </td>
    </tr>
  );
}
