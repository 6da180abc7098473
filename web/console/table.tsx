/** A list as a table: while it is read, when it is empty, and its rows. */

import type { ComponentChildren } from "preact";

/** A column's title; numbers stand at the right, and actions have a title that only screen readers say. */
export type Column = string | { number: string } | { actions: string };

interface Props<Row> {
  /** Null: not read yet. */
  rows: readonly Row[] | null;
  columns: readonly Column[];
  /** What stands there when there are none: what that means, and what to do. */
  empty: ComponentChildren;
  class?: string;
  /** One `<tr>` with its key. */
  children(row: Row): ComponentChildren;
}

export function Table<Row>({ rows, columns, empty, class: kind, children }: Props<Row>) {
  if (rows === null) return <p class="nothing">Reading…</p>;
  if (rows.length === 0) return <div class="nothing">{empty}</div>;
  return (
    <div class={kind ? `scroll ${kind}` : "scroll"}>
      <table>
        <thead>
          <tr>{columns.map(head)}</tr>
        </thead>
        <tbody>{rows.map(children)}</tbody>
      </table>
    </div>
  );
}

function head(column: Column) {
  if (typeof column === "string")
    return (
      <th key={column} scope="col">
        {column}
      </th>
    );
  if ("number" in column)
    return (
      <th key={column.number} scope="col" class="number">
        {column.number}
      </th>
    );
  return (
    <th key={column.actions} scope="col">
      <span class="visually-hidden">{column.actions}</span>
    </th>
  );
}
