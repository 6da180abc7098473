"""What browsers may do with our answers: the headers of every answer, and the Content-Security-Policy of each page.

Any site may call any API: there are no cookies, so nothing is sent that the site does not have itself (CORS `*`, never with
credentials). A page runs its own scripts only: those of its files, and its inline ones by their hash.
"""

from __future__ import annotations

import base64
import hashlib
import re

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Of every answer. A token may stand in a path (HLS), which another site's log need not have."""

DATA = "default-src 'none'; frame-ancestors 'none'"
"""For JSON: whoever opens it as a page gets text."""

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def page(html: str, *, framed: bool = False, elsewhere: bool = False) -> str:
    """The policy of a page with this text. `framed`: other sites may embed it. `elsewhere`: it plays from, and speaks to, other
    hosts, since nodes and CDNs have addresses that nobody knows here."""
    hashes = [hashlib.sha256(script.encode()).digest() for script in _INLINE.findall(html)]
    scripts = "".join(f" 'sha256-{base64.b64encode(one).decode()}'" for one in hashes)
    hosts = " https: http:" if elsewhere else ""
    parts = (
        "default-src 'self'",
        f"script-src 'self'{scripts}",
        "style-src 'self' 'unsafe-inline'",  # the player's shadow root, and heights that are computed
        f"img-src 'self' data: blob:{hosts}",
        f"media-src 'self' data: blob:{hosts}",
        f"connect-src 'self' data: blob:{hosts}" + (" ws: wss:" if elsewhere else ""),
        "font-src 'self' data:",
        "worker-src 'self' blob:",  # hls.js
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors *" if framed else "frame-ancestors 'none'",
    )
    return "; ".join(parts)
