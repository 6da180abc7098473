/** Something that goes on: what, and how far it is. */

import { useId } from "preact/hooks";

/** `share`: 0..1; a step that has not begun to count has a bar without an end. */
export function Going({ step, share }: { step: string; share: number }) {
  const id = useId();
  return (
    <div class="going">
      <label for={id}>
        <span>{step}</span>
        {share > 0 && <span>{Math.floor(share * 100)} %</span>}
      </label>
      {share > 0 ? <progress id={id} max={1} value={share} /> : <progress id={id} />}
    </div>
  );
}
