"""What operators install: systemd units that systemd takes, alerts over metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import avacast.speech.cluster
import speech_service.app
import speech_service.listening
import speech_service.speaking
from tests.harness.alerts import checked_rules

INFRA = Path(__file__).parents[3] / "infra"
UNITS = sorted((INFRA / "systemd").glob("*.service"))
DECLARED = (avacast.speech.cluster, speech_service.app, speech_service.listening, speech_service.speaking)


@pytest.mark.parametrize("unit", UNITS, ids=[unit.name for unit in UNITS])
def test_units_are_valid_and_restart(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    assert re.search(r"^Restart=always$", text, re.MULTILINE)
    assert ("%i" in text) == ("@" in unit.name)
    command = re.search(r"^ExecStart=/opt/avacast/.venv/bin/avacast (\w+)", text, re.MULTILINE)
    assert command is not None and command[1] in ("asr", "tts", "speech")
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    copy = tmp_path / unit.name.replace("@.", "@8002.")
    copy.write_text(text.replace("/opt/avacast/.venv/bin/avacast", "/bin/true"))
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    ours = [
        line for line in (found.stdout + found.stderr).splitlines() if unit.stem.partition("@")[0] in line
    ]
    assert ours == []


def test_alerts_are_whole_and_ask_for_metrics_that_there_are() -> None:
    assert all(DECLARED)
    rules = checked_rules("speech.rules.yml", "speech_")
    limits = {rule["alert"]: (rule["expr"], rule.get("for")) for rule in rules}
    assert limits["SpeechConnectionsHigh"][0].endswith("> 0.8")
    assert limits["SpeechGpuBusy"][0].endswith("> 95") and limits["SpeechGpuBusy"][1] == "5m"
    assert limits["SpeechGpuMemoryHigh"][0].endswith("> 0.9")
