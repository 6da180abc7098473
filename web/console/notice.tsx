/** An error with what to do about it. */

import type { Problem } from "../api/problem.ts";

export function Notice({ problem }: { problem: Problem }) {
  return (
    <div class="notice" role="alert">
      <div>
        <strong>{problem.message}</strong>
        {problem.hint}
      </div>
    </div>
  );
}
