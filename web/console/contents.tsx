/** What the console's page contains, as links that stay in sight. Marked is the pane that one of them led to, as long as its heading is
 * in sight; else the one at a line that goes down the screen as the page goes up, so that the last panes get their turn. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

interface Pane {
  id: string;
  title: string;
}

const FEWEST = 3;

function headings(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>("main > section > header > h2[id]")];
}

function inSight(heading: HTMLElement): boolean {
  const { top, bottom } = heading.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

function reading(): string {
  const found = headings();
  const led = found.find((heading) => location.hash === `#${heading.id}`);
  if (led && inSight(led)) return led.id;
  const { scrollHeight, clientHeight, scrollTop } = document.documentElement;
  const line = (clientHeight * scrollTop) / Math.max(1, scrollHeight - clientHeight);
  return found.findLast((heading) => heading.getBoundingClientRect().top <= line)?.id ?? "";
}

export function Contents() {
  const panes = useSignal<Pane[]>([]);
  const read = useSignal("");
  const bar = useRef<HTMLElement>(null);
  useEffect(() => {
    const mark = (): void => {
      const now = reading();
      if (now === read.value) return;
      read.value = now;
      // Where the bar is narrower than its links; the page itself stays where it is.
      const link = bar.current?.querySelector<HTMLElement>(`[href="#${now}"]`);
      if (link) bar.current?.scrollTo({ left: link.offsetLeft - 16 });
    };
    const list = (): void => {
      panes.value = headings().map(({ id, textContent }) => ({ id, title: textContent ?? id }));
      mark();
    };
    list();
    // Panes come and go with the right to see them.
    const changed = new MutationObserver(list);
    const main = document.querySelector("main");
    if (main) changed.observe(main, { childList: true });
    const seen = new AbortController();
    const options = { passive: true, signal: seen.signal };
    for (const event of ["scroll", "resize", "hashchange"]) window.addEventListener(event, mark, options);
    return () => {
      changed.disconnect();
      seen.abort();
    };
  }, [panes, read]);
  if (panes.value.length < FEWEST) return null;
  return (
    <nav class="contents" ref={bar} aria-label="Panes">
      {panes.value.map(({ id, title }) => (
        <a key={id} href={`#${id}`} aria-current={read.value === id ? "true" : undefined}>
          {title}
        </a>
      ))}
    </nav>
  );
}
