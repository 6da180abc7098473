/** STUN and TURN servers that nodes tell by Link headers (RFC 9725 4.6), kept for the connections that follow. */

import { linksOf } from "./links.ts";

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

/** The servers of a Link header. What is no STUN or TURN URL, or TURN without credentials, is passed over. */
export function iceServersOf(header: string): RTCIceServer[] {
  const found: RTCIceServer[] = [];
  for (const { url, rel, parameters } of linksOf(header)) {
    if (!rel.includes("ice-server") || !/^(stuns?|turns?):[^\s]+$/.test(url)) continue;
    const [username, credential] = [parameters.get("username"), parameters.get("credential")];
    if (!url.startsWith("turn")) found.push({ urls: url });
    else if (username && credential) found.push({ urls: url, username, credential });
  }
  return found.slice(0, MOST);
}
