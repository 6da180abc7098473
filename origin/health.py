"""What an origin tells of how it fares, read from its own metrics: rollouts judge versions by it."""

from __future__ import annotations

from common.directory import Health
from common.metrics import counted, summed
from origin.avatars import STARTS
from origin.conversation import LINES, TEXT_TO_SPEECH, TROUBLES
from origin.gpu_memory import GPU_MEMORY_ERRORS
from origin.stage import UNDERRUNS


def health(avatars_live: int) -> Health:
    """Since the process began. Requests are lines and starts of avatars; the metrics are the process's, as at /metrics."""
    lines, begun = counted(LINES), counted(STARTS, outcome="begun")
    failed = counted(STARTS, outcome="failed") + counted(STARTS, outcome="broke")
    troubles = min(lines, counted(LINES, end="failed") + counted(TROUBLES))
    seconds, count = summed(TEXT_TO_SPEECH)
    return Health(
        requests=int(lines + begun + counted(STARTS, outcome="failed")),
        errors=int(troubles + failed),
        latency_total_ms=seconds * 1000,
        latency_count=count,
        sessions=int(begun),
        sessions_live=avatars_live,
        underruns=int(counted(UNDERRUNS)),
        gpu_memory_errors=int(counted(GPU_MEMORY_ERRORS)),
    )
