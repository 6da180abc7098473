"""docs/errors.md names every error code that we answer with, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PYTHON = ("avacast", "common", "hls", "orchestrator", "origin", "relay", "sfu", "speech_service")
# Codes that are not literals beside `code=`: aiohttp's statuses, the limits by name, and those of the media core and the edge (in Rust).
BUILT = {
    "method_not_allowed",
    "talk_limit",
    "request_limit",
    "make_limit",
    "report_limit",
    "stream_unknown",
    "no_common_codec",
    "full",
    "busy",
    "hls_token_needed",
}


def documented() -> set[str]:
    return set(re.findall(r"^\| `([a-z_0-9]+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))


def used() -> set[str]:
    files = [
        path
        for package in PYTHON
        for path in (ROOT / package).rglob("*.py")
        if "node_modules" not in path.parts
    ]
    return {code for path in files for code in re.findall(r'\bcode ?= ?"([a-z_0-9]+)"', path.read_text())}


def test_every_code_is_documented() -> None:
    assert used() - documented() == set()


def test_every_documented_code_exists() -> None:
    sources = list((ROOT / "crates").rglob("*.rs")) + [
        path for name in PYTHON for path in (ROOT / name).rglob("*.py")
    ]
    text = "\n".join(path.read_text() for path in sources if "node_modules" not in path.parts)
    for code in BUILT - {one for one in BUILT if one.endswith("_limit")}:
        assert f'"{code}"' in text, code
    assert documented() - used() - BUILT == set()
