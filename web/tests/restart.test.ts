import { describe, expect, test } from "vitest";
import { fragmentOf, restarted } from "../player/restart.ts";

const OFFER = [
  "v=0",
  "a=group:BUNDLE 0 1",
  "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
  "a=ice-ufrag:fresh",
  "a=ice-pwd:0123456789012345678901",
  "a=ice-options:trickle",
  "a=mid:0",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=ice-ufrag:fresh",
  "a=ice-pwd:0123456789012345678901",
  "a=mid:1",
  "",
].join("\r\n");

describe("ICE restart", () => {
  test("the fragment has the new credentials in the first section", () => {
    expect(fragmentOf(OFFER)?.split("\r\n")).toEqual([
      "a=ice-options:trickle",
      "a=group:BUNDLE 0 1",
      "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
      "a=mid:0",
      "a=ice-ufrag:fresh",
      "a=ice-pwd:0123456789012345678901",
      "",
    ]);
    expect(fragmentOf("v=0\r\n")).toBeNull();
    expect(fragmentOf(OFFER.replaceAll("a=ice-pwd", "a=no"))).toBeNull();
  });

  test("the answer keeps all but the credentials, in every section", () => {
    const answer =
      "v=0\r\nm=video 9 x 96\r\na=ice-ufrag:old\r\na=ice-pwd:op\r\na=candidate:1\r\nm=audio 9 x 1\r\na=ice-ufrag:old\r\na=ice-pwd:op\r\n";
    const now = restarted(answer, "a=ice-ufrag:A$1\r\na=ice-pwd:n+w/\r\na=candidate:2\r\n");
    expect(now).toBe(answer.replaceAll("ufrag:old", "ufrag:A$$1").replaceAll("pwd:op", "pwd:n+w/"));
    expect(restarted(answer, "a=candidate:2\r\n")).toBeNull();
    expect(restarted(answer, "")).toBeNull();
  });
});
