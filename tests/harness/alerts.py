"""Files of alerts, as Prometheus would read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from common.metrics import render

FOLDER = Path(__file__).parents[2] / "infra/prometheus"


def checked_rules(file: str, prefix: str) -> list[dict[str, Any]]:
    """The rules of a file, each once, whole, and about metrics that there are now: those whose names begin with `prefix`."""
    (group,) = yaml.safe_load((FOLDER / file).read_text())["groups"]
    there = set(re.findall(r"^# TYPE (\w+)", render().decode(), re.MULTILINE))
    rules: list[dict[str, Any]] = group["rules"]
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names))
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        for name in re.findall(rf"\b{prefix}\w+", re.sub(r'"[^"]*"', "", rule["expr"])):
            assert name.removesuffix("_bucket") in there, f"{rule['alert']} asks for {name}"
    return rules
