"""How much of a core a voice takes here: measured by one short clause, and remembered where the answer is clear.

Loading Kokoro and letting it speak takes 5 s on a machine that is too slow for it, at each start. What was measured is kept in the cache
folder for a week, for this processor and these versions; a figure near the limit is measured anew each time.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import onnxruntime

from common.cache import cache_folder
from common.log import log
from speech.voice import Voice

CLEAR: Final = 1.5
"""A figure that is this many times above or below the limit is clear: other work on the same core can double it."""
_KEPT_S: Final = 7 * 86_400
_TRIAL: Final = "This is how I sound."


def speed(voice: Voice) -> float:
    """Core-seconds per second of speech, from one short clause. The thread's own time: what others do at start-up does not count."""
    before = time.thread_time()
    said = voice.synthesise(_TRIAL)
    return (time.thread_time() - before) / max(0.1, said.duration_s)


def fast_enough(model: str, limit: float, measure: Callable[[], float]) -> bool:
    """Whether the model (its name and version) takes no more than `limit` core-seconds per second of speech; `measure` is asked where
    that is not known."""
    known = _read(model)
    if known is not None and not limit / CLEAR < known < limit * CLEAR:
        log("speech").info("voice:known", model=model, core_s_per_s=known, limit=limit)
        return known <= limit
    cost = round(measure(), 3)
    log("speech").info("voice:measured", model=model, core_s_per_s=cost, limit=limit)
    _keep(model, cost)
    return cost <= limit


def _file() -> Path:
    return cache_folder("speech") / "speed.json"


def _key(model: str) -> str:
    return f"{model}, onnxruntime {onnxruntime.__version__}, {os.cpu_count()} x {_processor()}"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(model: str) -> float | None:
    try:
        cost, at = json.loads(_file().read_text())[_key(model)]
        return float(cost) if 0 <= time.time() - float(at) < _KEPT_S else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(model: str, cost: float) -> None:
    """A home that cannot be written to means measuring again."""
    file = _file()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        making = file.with_name(f"{file.name}.{os.getpid()}")
        making.write_text(json.dumps({_key(model): [cost, time.time()]}))
        making.replace(file)
