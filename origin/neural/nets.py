"""Nets from files: ONNX by ONNX Runtime, TorchScript and `torch.export` by torch. Shapes in, arrays in, arrays out.

ONNX is data: a file can ask for time and memory, no more, and `trial.py` bounds both before a node opens it. TorchScript and .pt2 are
programs: they are opened only when the operator has named their hash (`AVACAST_TRUSTED_MODELS`). Python's pickle is never read.
"""

from __future__ import annotations

import contextlib
import os
import threading
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from origin.packages.package import digest

Floats = NDArray[np.float32]
Shape = tuple[int | None, ...]
"""With the batch; None is a dimension that may have any size."""

SUFFIXES: Final = (".onnx", ".pt", ".pt2")
MOST_BYTES: Final = 4 << 30
TRUSTED: Final = "AVACAST_TRUSTED_MODELS"
"""Hashes (SHA-256, divided by commas) of the torch models that may be opened."""
DEVICE: Final = "AVACAST_NEURAL_DEVICE"
"""auto, cpu or cuda."""


class NetError(ValueError):
    """The net cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output. `dtype` is numpy's name of it."""

    name: str
    shape: Shape
    dtype: str = "float32"


class Net(Protocol):
    """A net that is loaded. `run` from any thread. `inputs` of torch models are unknown: they are called in the order of the feeds."""

    @property
    def inputs(self) -> tuple[Port, ...]: ...

    @property
    def device(self) -> str: ...

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Floats:
        """The first output for inputs by name, the batch first. Raises NetError."""
        ...


def devices(path: Path) -> tuple[str, ...]:
    """Where the net in a file may run: `cpu`, or `cuda:0` and so on, one for each GPU."""
    if os.environ.get(DEVICE, "auto") == "cpu":
        return ("cpu",)
    if path.suffix == ".onnx":
        there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        many = _gpus() if there else 0
    else:
        try:
            import torch
        except ImportError:
            return ("cpu",)
        many = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{number}" for number in range(many)) or ("cpu",)


def _gpus() -> int:
    """GPUs that this process may use; ONNX Runtime, which is to use them, does not tell."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    return sum(1 for _ in Path("/proc/driver/nvidia/gpus").glob("*"))


def load(path: Path, device: str | None = None) -> Net:
    """The net in a file, on `device` (the first of `devices` when None). Raises NetError."""
    device = device or devices(path)[0]
    if path.suffix == ".onnx":
        return OnnxNet(path, device)
    kind = "pt2" if path.suffix == ".pt2" else "torchscript"
    if kind == "torchscript":
        _refuse_pickle(path)
    trusted(path)
    return TorchNet(path, kind, device)


def trusted(path: Path) -> None:
    """Raises NetError unless the operator trusts a torch model: it is a program."""
    allowed = {part.strip() for part in os.environ.get(TRUSTED, "").lower().split(",")}
    found = digest(path)
    if found not in allowed:
        raise NetError(
            f"{path.name} is a program in torch's format, which is run only when you trust it: export it as ONNX, "
            f"or set {TRUSTED}={found}"
        )


def _refuse_pickle(path: Path) -> None:
    """A TorchScript archive has code; what torch.save wrote has a pickle only."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:10_000]
    except (zipfile.BadZipFile, OSError) as error:
        raise NetError(f"{path.name} is no TorchScript ({error}): write it with torch.jit.save") from None
    if not any("/code/" in name for name in names):
        raise NetError(
            f"{path.name} holds pickled weights, which are never read: export the net with torch.onnx.export"
        )


class OnnxNet:
    """A model of ONNX Runtime, on a GPU when CUDA's provider is there, else on the caller's thread."""

    def __init__(self, path: Path, device: str = "cpu", threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers: list[Any] = ["CPUExecutionProvider"]
        if device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.partition(":")[2] or "0"}))
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own errors have no common base class
            raise NetError(f"{path.name} is no model that can be opened: {_line(error)}") from error
        self.inputs = tuple(_port(value) for value in self._session.get_inputs())
        self.outputs = tuple(_port(value) for value in self._session.get_outputs())
        self.device = device if "CUDAExecutionProvider" in self._session.get_providers() else "cpu"

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Floats:
        typed = {
            port.name: np.ascontiguousarray(feeds[port.name], port.dtype)
            for port in self.inputs
            if port.name in feeds
        }
        try:
            found = self._session.run([self.outputs[0].name], typed)[0]
        except Exception as error:
            raise NetError(f"the model failed: {_line(error)}") from error
        return np.asarray(found, np.float32)


class TorchNet:
    """A TorchScript or exported model: FP32 on the caller's thread, or FP16 on a GPU with one captured graph a batch size.

    The CUDA part was written without a GPU at hand: it is unproven.
    """

    inputs: tuple[Port, ...] = ()

    def __init__(self, path: Path, kind: str, device: str = "cpu") -> None:
        try:
            import torch
        except ImportError as error:
            raise NetError(f"{path.name} needs torch: pip install 'avacast[neural]'") from error
        self._torch: Any = torch
        self.device = device
        try:
            if kind == "pt2":
                self._module: Any = torch.export.load(str(path)).module().to(self.device)
            else:
                self._module = torch.jit.load(str(path), map_location=self.device).eval()
            if self.device != "cpu":
                self._module = self._module.half()
        except Exception as error:  # torch raises of every kind
            raise NetError(f"{path.name} is no {kind} model that can be opened: {_line(error)}") from error
        self._graphs: dict[tuple[tuple[int, ...], ...], _Captured] = {}
        self._lock = threading.Lock()

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Floats:
        torch = self._torch
        try:
            with torch.inference_mode(), self._lock, self._chosen():
                given = [torch.from_numpy(np.ascontiguousarray(value)) for value in feeds.values()]
                if self.device == "cpu":
                    return np.asarray(_first(self._module(*given)).float().numpy(), np.float32)
                shapes = tuple(tuple(value.shape) for value in given)
                if shapes not in self._graphs:
                    self._graphs[shapes] = _Captured(torch, self._module, given, self.device)
                return self._graphs[shapes](given)
        except NetError:
            raise
        except Exception as error:
            raise NetError(f"the model failed: {_line(error)}") from error

    def _chosen(self) -> AbstractContextManager[Any]:
        """Makes its GPU the calling thread's: streams and graphs are made on that."""
        return contextlib.nullcontext() if self.device == "cpu" else self._torch.cuda.device(self.device)


class _Captured:
    """A CUDA graph of one batch size: inputs are copied into its own, its outputs out of them."""

    def __init__(self, torch: Any, module: Any, given: list[Any], device: str) -> None:
        self._torch, self._device = torch, device
        self._inputs = [self._ready(value) for value in given]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # capture wants a module that has run
            for _ in range(3):
                module(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = _first(module(*self._inputs))

    def _ready(self, value: Any) -> Any:
        return value.to(self._device, self._torch.float16 if value.is_floating_point() else None)

    def __call__(self, given: list[Any]) -> Floats:
        for mine, value in zip(self._inputs, given, strict=True):
            mine.copy_(value, non_blocking=True)
        self._graph.replay()
        return np.asarray(self._output.float().cpu().numpy(), np.float32)


def _first(found: Any) -> Any:
    return found[0] if isinstance(found, (tuple, list)) else found


def _port(value: Any) -> Port:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in value.shape)
    dtype = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64"}.get(
        value.type
    )
    if dtype is None:
        raise NetError(f"{value.name} is a {value.type}; nets take and give float, float16 or int64")
    return Port(value.name, shape, dtype)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
