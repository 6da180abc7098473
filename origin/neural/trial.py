"""Tries a net in a process of its own, with bounded memory and time, before a node opens it: `python -m origin.neural.trial REQUEST`.

The request is JSON: the file, and the shapes to run it with. The answer is one line of JSON: the inputs, the output's shape and range, and
milliseconds a run; or what is wrong.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from origin.neural.nets import DEVICE, TRUSTED, NetError, load

TIME_S: Final = 120
MEMORY: Final = 6 << 30
"""Address space that a net may take beside three times its file."""


_KEPT: Final = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", TRUSTED, DEVICE)
"""Of the environment, which may hold secrets."""
_ROOT: Final = str(Path(__file__).resolve().parents[2])

Constant = tuple[Sequence[int], int | float]
"""An input that is always the same: its shape, and the number that fills it."""

_answers: dict[str, dict[str, Any]] = {}
_lock = threading.Lock()


def tried(
    path: Path,
    feeds: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Constant] | None = None,
    order: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Loads and runs the net in another process with random inputs of these shapes (batch first), and `constants`; `order` is that of all
    inputs, where it is not this one.

    {"shape", "low", "high", "finite", "ms", "device"}. Raises NetError when it fails, takes too long, or too much memory.
    """
    request: dict[str, Any] = {
        "file": str(path.absolute()),
        "feeds": dict(feeds),
        "constants": dict(constants or {}),
    }
    if order is not None:
        request["order"] = list(order)
    return _asked(request, path)


def array_of(shape: Sequence[int], value: int | float) -> NDArray[Any]:
    """A constant: int64 of a whole number, else float32."""
    return np.full(tuple(shape), value, np.int64 if isinstance(value, int) else np.float32)


def ports(path: Path) -> dict[str, list[int | None]]:
    """The inputs of an ONNX model, by name; found in another process. Raises NetError."""
    found = _asked({"file": str(path.absolute())}, path)
    return {str(name): list(shape) for name, shape in found["inputs"].items()}


def _asked(request: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The answer, from memory when this very file was asked the same: a package that is refused is tried once, not every ten seconds."""
    info = path.stat()
    key = json.dumps([request, info.st_size, info.st_mtime_ns, info.st_ino, os.environ.get(TRUSTED, "")])
    with _lock:
        known = _answers.get(key)
    if known is None:
        try:
            known = _ended(request, path)
        except NetError as error:
            known = {"error": str(error)}
        with _lock:
            if len(_answers) >= 256:
                _answers.clear()
            _answers[key] = known
    if "error" in known:
        raise NetError(str(known["error"]))
    return known


def _ended(request: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What the process answers."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "origin.neural.trial", json.dumps(request)],
            capture_output=True,
            timeout=TIME_S,
            check=False,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name in _KEPT} | {"PYTHONPATH": _ROOT},
        )
    except subprocess.TimeoutExpired:
        raise NetError(f"{path.name} was not ready in {TIME_S} s: use a smaller net") from None
    try:
        answer = json.loads(ended.stdout.decode().splitlines()[-1])
    except (ValueError, IndexError):
        how = f"signal {-ended.returncode}" if ended.returncode < 0 else f"status {ended.returncode}"
        raise NetError(
            f"{path.name} ended the process that tried it ({how}): it wants more than {MEMORY >> 30} GB, or is broken"
        ) from None
    return dict(answer)


def _main(text: str) -> int:
    request = json.loads(text)
    path = Path(request["file"])
    limit = MEMORY + 3 * path.stat().st_size
    if path.suffix == ".onnx":  # torch's CUDA reserves address space by the hundred gigabytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (TIME_S, TIME_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        print(json.dumps(_tried(path, request)))
    except (NetError, MemoryError, KeyError) as error:
        print(json.dumps({"error": str(error) or f"{path.name} wants more than {limit >> 30} GB of memory"}))
    return 0


def _tried(path: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    net = load(path)
    inputs = {port.name: port.shape for port in net.inputs}
    if "feeds" not in request:
        return {"inputs": inputs}
    chance = np.random.default_rng(1)
    feeds: dict[str, Any] = {
        name: chance.random(tuple(shape), np.float32) for name, shape in request["feeds"].items()
    }
    feeds |= {name: array_of(*constant) for name, constant in request["constants"].items()}
    feeds = {name: feeds[name] for name in request.get("order", feeds)}  # torch takes them in their order
    found = net.run(feeds)
    spent: list[float] = []
    began = time.monotonic()
    while len(spent) < 20 and time.monotonic() - began < 3:
        at = time.perf_counter()
        net.run(feeds)
        spent.append(time.perf_counter() - at)
    low, high = (float(np.nan_to_num(v)) for v in (found.min(), found.max()))
    return {
        "shape": list(found.shape),
        "low": low,
        "high": high,
        "finite": bool(np.isfinite(found).all()),
        "ms": 1000 * float(np.median(spent)),
        "device": net.device,
    }


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
