/** Cameras and microphones of this browser, and what to do when they cannot be had. */

import { needSecurePage, refusal } from "../api/devices.ts";
import { Problem } from "../api/problem.ts";

export interface Device {
  id: string;
  label: string;
}

export interface Devices {
  cameras: Device[];
  microphones: Device[];
}

export interface Choice {
  camera: string | null;
  microphone: string | null;
}

/** Asks for camera and microphone; a machine that has but one of them gives that one. Rejects with a Problem. */
export async function capture(choice: Choice): Promise<MediaStream> {
  needSecurePage("camera");
  const video: MediaTrackConstraints = {
    ...(choice.camera ? { deviceId: { exact: choice.camera } } : {}),
    width: { ideal: 1280 },
    height: { ideal: 720 },
    frameRate: { ideal: 30 },
  };
  const audio: MediaTrackConstraints = choice.microphone ? { deviceId: { exact: choice.microphone } } : {};
  try {
    return await navigator.mediaDevices.getUserMedia({ video, audio });
  } catch (thrown) {
    if (!(thrown instanceof DOMException) || thrown.name !== "NotFoundError") throw explain(thrown);
  }
  for (const constraints of [{ video }, { audio }]) {
    try {
      return await navigator.mediaDevices.getUserMedia(constraints);
    } catch (thrown) {
      if (!(thrown instanceof DOMException) || thrown.name !== "NotFoundError") throw explain(thrown);
    }
  }
  throw new Problem(0, "no_device", "There is no camera and no microphone.", "Connect one, then try again.");
}

/** Labels are known only after the person allowed a capture. */
export async function list(): Promise<Devices> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const of = (kind: MediaDeviceKind, name: string): Device[] =>
    devices
      .filter((device) => device.kind === kind && device.deviceId !== "")
      .map((device, index) => ({ id: device.deviceId, label: device.label || `${name} ${index + 1}` }));
  return { cameras: of("videoinput", "Camera"), microphones: of("audioinput", "Microphone") };
}

function explain(thrown: unknown): Problem {
  const name = thrown instanceof DOMException ? thrown.name : "";
  const refused = refusal(name, "camera", "try again");
  if (refused) return refused;
  if (name === "OverconstrainedError")
    return new Problem(0, "device_gone", "That device is no longer there.", "Choose another one.");
  return new Problem(0, "capture_failed", thrown instanceof Error ? thrown.message : String(thrown));
}
