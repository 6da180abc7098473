import { describe, expect, test } from "vitest";
import { capturedAtMs, negotiateCaptureTimes } from "../player/capture.ts";

const URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

function transceiver(refuses: boolean) {
  const offered = [
    { uri: "urn:ietf:params:rtp-hdrext:sdes:mid", direction: "sendrecv" },
    { uri: URI, direction: "stopped" },
  ];
  let set: typeof offered | null = null;
  return {
    getHeaderExtensionsToNegotiate: () => offered,
    setHeaderExtensionsToNegotiate: (extensions: typeof offered) => {
      if (refuses) throw new TypeError("no");
      set = extensions;
    },
    direction: () => set?.find(({ uri }) => uri === URI)?.direction,
  };
}

describe("capture times", () => {
  test("are negotiated where the browser can", () => {
    const willing = transceiver(false);
    negotiateCaptureTimes(willing as unknown as RTCRtpTransceiver);
    expect(willing.direction()).toBe("sendrecv");
    expect(() => negotiateCaptureTimes(transceiver(true) as unknown as RTCRtpTransceiver)).not.toThrow();
    expect(() => negotiateCaptureTimes({} as RTCRtpTransceiver)).not.toThrow();
  });

  test("are read by the Unix clock, the newest of all sources", () => {
    const unix = 1_800_000_000_000;
    const source = (captureTimestamp?: number): RTCRtpContributingSource =>
      ({ rtpTimestamp: 0, source: 1, timestamp: 0, captureTimestamp }) as RTCRtpContributingSource;
    expect(capturedAtMs([])).toBeNull();
    expect(capturedAtMs([source(undefined), source(0)])).toBeNull();
    expect(capturedAtMs([source(unix + 2_208_988_800_000), source(unix - 5)])).toBe(unix);
  });
});
