/** When the picture on screen was captured, by the clock of the machine that captured it (RTP header extension abs-capture-time). */

const ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
/** Seconds between the NTP epoch (1900) and the Unix epoch (1970), in ms. */
const NTP_EPOCH_MS = 2_208_988_800_000;

interface HeaderExtension {
  uri: string;
  direction: RTCRtpTransceiverDirection;
}

/** Not in every browser, and not in TypeScript's library yet. */
interface Negotiable {
  getHeaderExtensionsToNegotiate?: () => HeaderExtension[];
  setHeaderExtensionsToNegotiate?: (extensions: HeaderExtension[]) => void;
}

/** Has capture times negotiated, which browsers know but do not offer. To be called before the offer is made. */
export function negotiateCaptureTimes(transceiver: RTCRtpTransceiver): void {
  const negotiable = transceiver as Negotiable;
  const extensions = negotiable.getHeaderExtensionsToNegotiate?.() ?? [];
  const wanted = extensions.find((extension) => extension.uri === ABS_CAPTURE_TIME);
  if (wanted?.direction !== "stopped") return;
  wanted.direction = "sendrecv";
  try {
    negotiable.setHeaderExtensionsToNegotiate?.(extensions);
  } catch {
    // Then there are none: sender reports tell nearly as well.
  }
}

/** Unix ms at which what a receiver plays now was captured; null when its sender does not say. */
export function capturedAtMs(sources: readonly RTCRtpContributingSource[]): number | null {
  let newest: number | null = null;
  for (const source of sources) {
    const { captureTimestamp } = source as { captureTimestamp?: unknown };
    if (typeof captureTimestamp === "number" && captureTimestamp > 0)
      newest = Math.max(newest ?? 0, unixMs(captureTimestamp));
  }
  return newest;
}

/** Some browsers count from 1900, as NTP does, and some from 1970. */
export function unixMs(timestamp: number): number {
  return timestamp > NTP_EPOCH_MS ? timestamp - NTP_EPOCH_MS : timestamp;
}
