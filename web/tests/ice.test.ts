import { describe, expect, test } from "vitest";
import { configuration, iceServersOf, learn } from "../player/ice.ts";

const TURN =
  '<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="17:a"; credential="x/y+z="; credential-type="password"';

describe("ICE servers of a Link header", () => {
  test("are found among other links", () => {
    const header = `</whep/demo/7/events>; rel="urn:x"; events="mode,caption", <stun:stun.example:3478>; rel="ice-server", ${TURN}`;
    expect(iceServersOf(header)).toEqual([
      { urls: "stun:stun.example:3478" },
      { urls: "turn:turn.example:3478?transport=udp", username: "17:a", credential: "x/y+z=" },
    ]);
  });

  test("are none where the URL is another, or TURN lacks its credentials", () => {
    const bad = [
      '<https://example>; rel="ice-server"',
      '<turn:turn.example>; rel="ice-server"',
      "<stun:a>",
      '<stun:a>; rel="next"',
    ];
    for (const header of ["", "<<<;;,", ...bad]) expect(iceServersOf(header)).toEqual([]);
  });

  test("stay known to the connections that follow", () => {
    expect(configuration().iceServers).toEqual([]);
    learn(TURN);
    learn('</events>; rel="urn:x"');
    expect(configuration().iceServers).toHaveLength(1);
  });
});
