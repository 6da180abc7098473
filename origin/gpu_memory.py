"""Errors for want of memory on a GPU, told apart from all others: a new version that needs more than there is must be seen at once."""

from __future__ import annotations

from common import metrics

GPU_MEMORY_ERRORS = metrics.counter("gpu_memory_errors_total", "Faults for want of memory on the GPU")

_SHORT = ("out of memory", "outofmemory", "failed to allocate", "memory allocation")
_GPU = ("cuda", "gpu")


def is_gpu_memory(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that a GPU has no memory left (warp, CUDA, PyTorch, ONNX Runtime)."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        text = f"{type(found).__name__} {found}".lower()
        if any(one in text for one in _SHORT) and any(one in text for one in _GPU):
            return True
        found = found.__cause__ or found.__context__
    return False


def note_gpu_memory(error: BaseException) -> None:
    """Counts it when it is one."""
    if is_gpu_memory(error):
        GPU_MEMORY_ERRORS.inc()
