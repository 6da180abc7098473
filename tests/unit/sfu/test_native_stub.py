"""The stub of the native module says what the module is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ONLY_IN_THE_STUB = ("common._native.Kind", "common._native.SendRung")


@pytest.mark.slow
def test_the_stub_agrees_with_the_module(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text("".join(f"{name}\n" for name in ONLY_IN_THE_STUB))
    check = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "common._native", "--allowlist", str(allowed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr
