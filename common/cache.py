"""Where on this machine things are kept that can be made anew."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """`avacast/NAME` in $XDG_CACHE_HOME, or in ~/.cache. It need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avacast" / name
