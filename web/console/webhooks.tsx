/** Webhooks: which addresses are told what happens, and what became of it. For operators. */

import { useSignal } from "@preact/signals";
import { useCallback } from "preact/hooks";
import { type Problem, problemFrom } from "../api/problem.ts";
import type { Webhook, WebhookDelivery } from "../api/webhooks.ts";
import * as api from "../api/webhooks.ts";
import { Dialog, FormDialog, SecretDialog } from "./dialogs.tsx";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { admin } from "./session.ts";
import { Table } from "./table.tsx";

const EVERY_MS = 5000;
const DELIVERIES_MS = 1500;

export function Webhooks() {
  return admin.value ? <Of token={admin.value} /> : null;
}

function Of({ token }: { token: string }) {
  const { value, problem, round, act } = usePolled(api.listWebhooks, token, EVERY_MS);
  const making = useSignal(false);
  const opened = useSignal<string | null>(null);
  const hooks = value.value;
  const open = hooks?.find((one) => one.id === opened.value);
  return (
    <section class="card" aria-labelledby="webhooks">
      <header>
        <h2 id="webhooks">Webhooks</h2>
        <button type="button" class="button small" onClick={() => (making.value = true)}>
          New webhook
        </button>
      </header>
      {problem && <Notice problem={problem} />}
      <Table
        rows={hooks}
        columns={["Address", "Events", "State", { number: "Waiting" }, { actions: "Actions" }]}
        empty={
          <>
            <strong>Nobody is told what happens</strong>
            <p>
              A webhook sends your server a signed message when a broadcast is live, a node is lost and so on.
            </p>
          </>
        }
      >
        {(one) => (
          <tr key={one.id} data-webhook={one.id}>
            <th scope="row" class="address">
              {one.url}
              <small>{one.description || one.id}</small>
            </th>
            <td title={one.events.join(", ")}>{one.events.length === 0 ? "all" : one.events.length}</td>
            <td>
              <State hook={one} />
            </td>
            <td class="number">{one.waiting}</td>
            <td>
              <div class="actions">
                <button type="button" class="button small" onClick={() => (opened.value = one.id)}>
                  Deliveries
                </button>
                <button
                  type="button"
                  class="button small quiet"
                  onClick={() => void act(() => api.changeWebhook(one.id, { enabled: !one.enabled }, token))}
                >
                  {one.enabled ? "Turn off" : "Turn on"}
                </button>
                <button
                  type="button"
                  class="button small quiet"
                  onClick={() => {
                    if (confirm(`Remove the webhook to ${one.url}? What was sent to it is forgotten.`))
                      void act(() => api.deleteWebhook(one.id, token));
                  }}
                >
                  Remove
                </button>
              </div>
            </td>
          </tr>
        )}
      </Table>
      {making.value && (
        <NewWebhook
          token={token}
          onClose={() => {
            making.value = false;
            round.value++;
          }}
        />
      )}
      {open && <Deliveries hook={open} token={token} onClose={() => (opened.value = null)} />}
    </section>
  );
}

function State({ hook }: { hook: Webhook }) {
  if (!hook.enabled)
    return (
      <>
        <span class="state bad">Off</span>
        <small class="reason">{hook.disabled_reason}</small>
      </>
    );
  if (hook.failing_since)
    return <span class="state warn">Failing since {new Date(hook.failing_since).toLocaleTimeString()}</span>;
  return <span class="state good">On</span>;
}

function NewWebhook({ token, onClose }: { token: string; onClose(): void }) {
  const url = useSignal("");
  const description = useSignal("");
  const all = useSignal(true);
  const wanted = useSignal<ReadonlySet<string>>(new Set());
  const failed = useSignal<Problem | null>(null);
  const secret = useSignal<string | null>(null);
  const submit = async (): Promise<void> => {
    failed.value = null;
    try {
      const events = all.value ? [] : [...wanted.value];
      const made = await api.makeWebhook(
        { url: url.value.trim(), description: description.value.trim(), events },
        token,
      );
      secret.value = made.secret;
    } catch (thrown) {
      failed.value = problemFrom(thrown);
    }
  };
  if (secret.value !== null) return <Secret secret={secret.value} onClose={onClose} />;
  const toggle = (event: string, on: boolean): void => {
    const next = new Set(wanted.value);
    if (on) next.add(event);
    else next.delete(event);
    wanted.value = next;
  };
  return (
    <FormDialog
      title="New webhook"
      action="Make it"
      disabled={!all.value && wanted.value.size === 0}
      failed={failed.value}
      onSubmit={submit}
      onClose={onClose}
    >
      <label class="field">
        Address
        <input
          type="url"
          required
          placeholder="https://example.org/hooks"
          value={url.value}
          onInput={(event) => (url.value = event.currentTarget.value)}
        />
      </label>
      <label class="field">
        Description
        <input
          maxLength={200}
          value={description.value}
          onInput={(event) => (description.value = event.currentTarget.value)}
        />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={all.value}
          onChange={(event) => (all.value = event.currentTarget.checked)}
        />
        Everything that happens
      </label>
      {!all.value && (
        <div class="events">
          {Object.entries(api.EVENTS).map(([group, events]) => (
            <fieldset key={group}>
              <legend>{group}</legend>
              {events.map((event) => (
                <label key={event} class="check">
                  <input
                    type="checkbox"
                    checked={wanted.value.has(event)}
                    onChange={(change) => toggle(event, change.currentTarget.checked)}
                  />
                  {event}
                </label>
              ))}
            </fieldset>
          ))}
        </div>
      )}
    </FormDialog>
  );
}

function Secret({ secret, onClose }: { secret: string; onClose(): void }) {
  const text = "Your server verifies with it that a message is ours. It is shown only now.";
  return <SecretDialog title="Its secret" text={text} secret={secret} onClose={onClose} />;
}

function Deliveries({ hook, token, onClose }: { hook: Webhook; token: string; onClose(): void }) {
  const { id } = hook;
  const read = useCallback(
    (token: string, signal: AbortSignal) => api.listDeliveries(id, token, signal),
    [id],
  );
  const { value, problem, act } = usePolled(read, token, DELIVERIES_MS);
  const secret = useSignal<string | null>(null);
  const rows = value.value;
  if (secret.value !== null) return <Secret secret={secret.value} onClose={() => (secret.value = null)} />;
  return (
    <Dialog title="Deliveries" kind="wide" onClose={onClose}>
      <p class="soft words">{hook.url}</p>
      {problem && <Notice problem={problem} />}
      <div class="buttons">
        <button
          type="button"
          class="button small quiet"
          onClick={() => {
            if (confirm("Make a new secret? The one before is good for a day."))
              void act(async () => {
                secret.value = (await api.renewSecret(id, token)).secret;
              });
          }}
        >
          New secret
        </button>
        <button
          type="button"
          class="button small"
          disabled={!hook.enabled}
          onClick={() => void act(() => api.testWebhook(id, token))}
        >
          Send a test
        </button>
      </div>
      <Table
        rows={rows}
        columns={["Event", "State", { number: "Tries" }, { actions: "Actions" }]}
        empty={"Nothing was sent yet."}
        class="deliveries"
      >
        {(one) => (
          <tr key={one.id} data-delivery={one.id}>
            <th scope="row">
              <details>
                <summary>{one.type}</summary>
                <pre>{JSON.stringify(one.body, null, 2)}</pre>
              </details>
              <small>
                <time dateTime={one.at}>{new Date(one.at).toLocaleString()}</time>
              </small>
            </th>
            <td>
              <Outcome delivery={one} />
            </td>
            <td class="number">{one.attempts}</td>
            <td>
              <button
                type="button"
                class="button small quiet"
                disabled={!hook.enabled || (one.state === "waiting" && one.attempts === 0)}
                onClick={() => void act(() => api.redeliver(id, one.id, token))}
                aria-label={`Send ${one.type} again`}
              >
                Send again
              </button>
            </td>
          </tr>
        )}
      </Table>
      <div class="buttons">
        <button type="button" class="button small" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Outcome({ delivery }: { delivery: WebhookDelivery }) {
  const next = delivery.next_at && delivery.attempts > 0;
  return (
    <>
      {delivery.state === "delivered" ? (
        <span class="state good">Taken ({delivery.last_status})</span>
      ) : delivery.state === "failed" ? (
        <span class="state bad">Given up</span>
      ) : (
        <span class="state warn">{delivery.attempts === 0 ? "On its way" : "Trying again"}</span>
      )}
      {delivery.state !== "delivered" && delivery.last_error && (
        <small class="reason">
          {delivery.last_error}
          {next && `; next at ${new Date(delivery.next_at ?? "").toLocaleTimeString()}`}
        </small>
      )}
    </>
  );
}
