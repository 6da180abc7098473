/** STUN and TURN servers that nodes tell by Link headers (RFC 9725 4.6), kept for the connections that follow. */

/** So many are taken: browsers slow down with more. */
const MOST = 8;

let servers: RTCIceServer[] = [];

/**
 * What a connection is made with. Gathering begins before a node can tell its servers, so the first connection of a page goes
 * without; where it fails, the next one has them.
 */
export function configuration(): RTCConfiguration {
  return { bundlePolicy: "max-bundle", iceServers: servers };
}

/** Takes the servers of an answer's Link header; one without any leaves what is known. */
export function learn(header: string): void {
  const told = iceServersOf(header);
  if (told.length > 0) servers = told;
}

/** The servers of a Link header (RFC 8288). What is no STUN or TURN URL, or TURN without credentials, is passed over. */
export function iceServersOf(header: string): RTCIceServer[] {
  const found: RTCIceServer[] = [];
  for (const [, url = "", rest = ""] of header.matchAll(/<([^>]*)>((?:[^,<"]|"[^"]*")*)/g)) {
    const value = (name: string) => new RegExp(`;\\s*${name}\\s*=\\s*"([^"]*)"`, "i").exec(rest)?.[1];
    if (!(value("rel") ?? "").split(/\s+/).includes("ice-server") || !/^(stuns?|turns?):[^\s]+$/.test(url))
      continue;
    const [username, credential] = [value("username"), value("credential")];
    if (!url.startsWith("turn")) found.push({ urls: url });
    else if (username && credential) found.push({ urls: url, username, credential });
  }
  return found.slice(0, MOST);
}
