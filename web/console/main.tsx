/** `/console`: nodes, broadcasts and viewers, live; and a page for each broadcast. */

import { signal } from "@preact/signals";
import { render } from "preact";
import "../theme/theme.css";
import "./console.css";
import type { Broadcast } from "../api/broadcasts.ts";
import { Header } from "../theme/header.tsx";
import { Accounts } from "./accounts.tsx";
import { AuditLog } from "./audit.tsx";
import { BroadcastPage } from "./broadcast.tsx";
import { Broadcasts } from "./broadcasts.tsx";
import { Chart } from "./chart.tsx";
import { Contents } from "./contents.tsx";
import { Costs } from "./cost.tsx";
import { Desk } from "./desk.tsx";
import { NewBroadcast, SignIn } from "./dialogs.tsx";
import { Jobs } from "./jobs.tsx";
import { WorldMap } from "./map.tsx";
import { Nodes } from "./nodes.tsx";
import { Notice } from "./notice.tsx";
import { overview, problem, totals, watchOverview } from "./overview.ts";
import { Recordings } from "./recordings.tsx";
import { Rollouts } from "./rollouts.tsx";
import { shown } from "./route.ts";
import { admin, signOut } from "./session.ts";
import { Sessions } from "./sessions.tsx";
import { Webhooks } from "./webhooks.tsx";

const dialog = signal<"none" | "sign-in" | "create">("none");
const desk = signal<Broadcast | null>(null);
const close = () => (dialog.value = "none");
const signIn = () => (dialog.value = "sign-in");
const atDesk = (broadcast: Broadcast) => (desk.value = broadcast);

function Page() {
  return (
    <>
      <Header />
      <main>
        <div class="top">
          <h1>Console</h1>
          {admin.value ? (
            <button type="button" class="button small" onClick={signOut}>
              Sign out
            </button>
          ) : (
            <button type="button" class="button small" onClick={signIn}>
              Sign in
            </button>
          )}
        </div>
        {problem.value && <Notice problem={problem.value} />}
        {shown.value === null ? (
          <Everything />
        ) : (
          <BroadcastPage key={shown.value} id={shown.value} onSignIn={signIn} onDesk={atDesk} />
        )}
      </main>
      {dialog.value === "sign-in" && <SignIn onClose={close} />}
      {dialog.value === "create" && <NewBroadcast onClose={close} />}
      {desk.value && admin.value && (
        <Desk broadcast={desk.value} token={admin.value} onClose={() => (desk.value = null)} />
      )}
    </>
  );
}

function Everything() {
  const now = overview.value;
  const sum = now ? totals(now) : null;
  const live = now?.rows.filter((row) => row.broadcast.live).length ?? 0;
  return (
    <>
      <Contents />
      <section class="card viewers" aria-label="Viewers">
        <dl class="sums">
          <Sum name="Viewers" value={sum ? sum.webrtc + sum.hls : null} />
          <Sum name="by WebRTC" value={sum?.webrtc ?? null} kind="webrtc" />
          <Sum name="by HLS" value={sum?.hls ?? null} kind="hls" />
          <Sum name="Live broadcasts" value={now ? live : null} />
          <Sum name="Nodes" value={now ? now.nodes.length : null} />
        </dl>
        <Chart />
      </section>
      <Broadcasts onSignIn={signIn} onCreate={() => (dialog.value = "create")} onDesk={atDesk} />
      <Sessions />
      <Recordings />
      <Jobs />
      <Nodes map={<WorldMap />} />
      <Rollouts />
      <Costs />
      <Accounts />
      <Webhooks />
      <AuditLog />
    </>
  );
}

function Sum({ name, value, kind }: { name: string; value: number | null; kind?: "webrtc" | "hls" }) {
  return (
    <div>
      <dt>
        {kind && <i class={`key ${kind}`} />}
        {name}
      </dt>
      <dd>{value ?? "–"}</dd>
    </div>
  );
}

render(<Page />, document.getElementById("app") as HTMLElement);
watchOverview();
