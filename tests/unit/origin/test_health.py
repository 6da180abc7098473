"""What an origin tells of how it fares is what its metrics counted."""

from __future__ import annotations

import pytest

from origin.avatars import STARTS
from origin.conversation import LINES, TEXT_TO_SPEECH, TROUBLES
from origin.gpu_memory import is_gpu_memory, note_gpu_memory
from origin.health import health
from origin.stage import UNDERRUNS


def test_health_grows_by_what_happened() -> None:
    before = health(2)
    STARTS.labels("begun").inc(2)
    STARTS.labels("failed").inc()
    STARTS.labels("broke").inc()
    LINES.labels("say", "spoken").inc(5)
    LINES.labels("ask", "failed").inc()
    TROUBLES.labels("voice").inc()
    TEXT_TO_SPEECH.observe(0.25)
    UNDERRUNS.inc(3)
    note_gpu_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    note_gpu_memory(ValueError("no such person"))
    after = health(4)
    grown = {
        name: value - getattr(before, name)
        for name, value in after.model_dump().items()
        if name != "sessions_live"
    }
    assert grown == {
        "requests": 2 + 1 + 6,
        "errors": 1 + 1 + 1 + 1,
        "latency_total_ms": pytest.approx(250),
        "latency_count": 1,
        "sessions": 2,
        "underruns": 3,
        "gpu_memory_errors": 1,
    }
    assert after.sessions_live == 4


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (RuntimeError("Failed to allocate 4096 bytes on device 'cuda:0'"), True),
        (RuntimeError("Failed to allocate 4096 bytes on device 'cpu'"), False),
        (RuntimeError("Warp CUDA error 2: out of memory (in function wp_alloc_device_async)"), True),
        (RuntimeError("CUDA failure 2: out of memory ; GPU=0"), True),
        (MemoryError("out of memory"), False),
        (ValueError("device 'cuda:0' is not there"), False),
    ],
)
def test_only_a_gpu_without_memory_is_one(error: Exception, short: bool) -> None:
    assert is_gpu_memory(error) is short
    try:
        raise KeyError("drawing failed") from error
    except KeyError as outer:
        assert is_gpu_memory(outer) is short
