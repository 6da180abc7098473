/** `/player.js`: defines `<avacast-player>`. */

import { AvacastPlayer } from "./element.ts";

if (!customElements.get("avacast-player")) customElements.define("avacast-player", AvacastPlayer);

export { AvacastPlayer };

declare global {
  interface HTMLElementTagNameMap {
    "avacast-player": AvacastPlayer;
  }
}
