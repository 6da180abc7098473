/** What a viewer reads when something does not work: what it is, and what happens or helps next. */

import type { Problem } from "../api/problem.ts";

export interface Message {
  title: string;
  hint: string;
}

export function messageOf(problem: Problem): Message {
  switch (problem.code) {
    case "broadcast_unknown":
    case "stream_unknown":
      return {
        title: "Not live right now",
        hint: "The picture appears here by itself as soon as the broadcast starts.",
      };
    case "unreachable":
    case "timeout":
      return { title: "No connection to the server", hint: "Check your network. We keep trying." };
    case "silent":
    case "connection_lost":
    case "stalled":
      return { title: "The connection was lost", hint: "Looking for another way to you." };
    case "no_hls":
    case "no_webrtc":
      return { title: "This browser cannot play it", hint: "A current Chrome, Edge, Firefox or Safari can." };
    default:
  }
  if (problem.status === 401 || problem.status === 403)
    return {
      title: "This broadcast is private",
      hint: problem.hint ?? "Ask its owner for a link with a valid token.",
    };
  if (problem.status === 503)
    return {
      title: "Every place is taken",
      hint: problem.hint ?? "We try again as soon as the server allows.",
    };
  return { title: "It does not play yet", hint: problem.hint ?? problem.message };
}
