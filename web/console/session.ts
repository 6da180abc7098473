/** The admin token: in this tab only (sessionStorage), gone when the tab is closed. */

import { signal } from "@preact/signals";

const KEY = "admin-token";

function stored(): string | null {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (given) sessionStorage.setItem(KEY, given);
    return given ?? sessionStorage.getItem(KEY);
  } catch {
    return given;
  } finally {
    // A token does not stay in the address, where it would be copied with it.
    if (given) history.replaceState(null, "", location.pathname + location.search);
  }
}

export const admin = signal<string | null>(stored());

export function signIn(token: string): void {
  admin.value = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Without storage the token lives as long as the page.
  }
}

export function signOut(): void {
  admin.value = null;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Nothing was kept then.
  }
}
