/** The head of every page: name, the pages, light or dark. */

import { useState } from "preact/hooks";

const PAGES = [
  { path: "/", name: "Live" },
  { path: "/camera", name: "Camera" },
  { path: "/console", name: "Console" },
];

type Theme = "light" | "dark";

function themeNow(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function Header() {
  const [theme, setTheme] = useState<Theme>(themeNow);
  const other: Theme = theme === "dark" ? "light" : "dark";
  const choose = () => {
    document.documentElement.dataset.theme = other;
    try {
      localStorage.setItem("theme", other);
    } catch {
      // A page without storage forgets the choice, that is all.
    }
    setTheme(other);
  };
  return (
    <header class="header">
      <a class="wordmark" href="/" aria-label="Avacast">
        <img src="/favicon.svg" alt="" />
        <span>Avacast</span>
      </a>
      <nav aria-label="Pages">
        {PAGES.map(({ path, name }) => (
          <a key={path} href={path} aria-current={location.pathname === path ? "page" : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <button
        type="button"
        class="theme"
        onClick={choose}
        aria-label={`Use the ${other} theme`}
        title={`Use the ${other} theme`}
      >
        <svg viewBox="0 0 24 24" aria-hidden="true">
          {theme === "dark" ? (
            <path d="M12 4V2m0 20v-2m8-8h2M2 12h2m13.7-5.7 1.4-1.400M4.9 19.100l1.4-1.400m11.4 0 1.4 1.400M4.9 4.900l1.4 1.400M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0Z" />
          ) : (
            <path d="M20 14.500A8.3 8.3 0 0 1 9.5 4a8.3 8.3 0 1 0 10.5 10.500Z" />
          )}
        </svg>
      </button>
    </header>
  );
}
