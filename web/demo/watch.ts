/** `/watch/{broadcast}?role=passive&token=...`: nothing but the picture. */

import "../theme/theme.css";
import "./watch.css";

const query = new URLSearchParams(location.search);
const secret = new URLSearchParams(location.hash.slice(1));
const broadcast = decodeURIComponent(location.pathname.split("/")[2] ?? "");

const player = document.createElement("avacast-player");
player.setAttribute("broadcast", broadcast);
player.setAttribute("role", query.get("role") === "interactive" ? "interactive" : "passive");
player.setAttribute("aria-label", `Live: ${broadcast}`);
// A token after # stays out of the logs of every server on the way.
const token = secret.get("token") ?? query.get("token");
if (token) player.setAttribute("token", token);
if (query.get("autostart") === "false") player.setAttribute("autostart", "false");
if (query.has("muted")) player.setAttribute("muted", "");
document.title = `${broadcast} · Avacast`;
document.body.append(player);
