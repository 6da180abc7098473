"""ONNX voice models with one more output: the durations that they compute inside.

A model file is one protobuf message, and of two parts of a message that name the same submessage a parser makes one (protobuf's
"last one wins, repeated fields are joined"). So the output is added by appending some 40 bytes: no ONNX library, no second
file of 90 MB on disk, and what is checked is the file as its authors published it.
"""

from __future__ import annotations

from typing import Any, Final

import av
import numpy as np
import onnxruntime

from speech.marks import SAMPLE_RATE
from speech.voice import Halt, Pcm, VoiceError

_GRAPH: Final = 7
"""Field of ModelProto."""
_OUTPUT: Final = 12
"""Field of GraphProto."""
_NAME: Final = 1
"""Field of ValueInfoProto."""


def session(model: bytes, output: str) -> onnxruntime.InferenceSession:
    """A session of `model` whose last output is the inner value `output`. One thread: the caller's.

    Raises VoiceError when it is no model, or has no such value.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model + _field(_GRAPH, _field(_OUTPUT, _field(_NAME, output.encode()))),
            options,
            providers=["CPUExecutionProvider"],
        )
    except Exception as error:  # onnxruntime's own errors have no common base class
        raise VoiceError(f"not a voice model with the inner value {output!r}: {error}") from error


def seed(number: int) -> None:
    """Voices that are loaded from now on draw the same noise in the same order, so that they speak a text alike each time."""
    onnxruntime.set_seed(number)


def outputs(voice: onnxruntime.InferenceSession, feed: dict[str, Any], halt: Halt | None = None) -> list[Any]:
    """Runs the model. VoiceError when it refuses its input, or when `halt` ended it.

    The memory of a run is given back after it: a process with Kokoro holds 390 MB instead of 800, at the same speed.
    """
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    if halt is not None:
        halt.by(lambda: setattr(options, "terminate", True))
    try:
        return list(voice.run(None, feed, options))
    except Exception as error:
        raise VoiceError("halted" if halt and halt.halted else f"the voice model failed: {error}") from error


def resampled(pcm: Pcm, rate: int) -> Pcm:
    """Mono `pcm` at `rate` as mono at 48 kHz, aligned at the first sample, of the exact length."""
    if rate == SAMPLE_RATE or not pcm.size:
        return pcm
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono")
    resample = graph.add("aresample", f"{SAMPLE_RATE}:filter_size=64:cutoff=0.97:phase_shift=10")
    sink = graph.add("abuffersink")
    source.link_to(resample)
    resample.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(pcm, np.float32).reshape(1, -1), format="flt", layout="mono"
    )
    frame.sample_rate = rate
    source.push(frame)
    source.push(None)
    parts: list[Pcm] = []
    while True:
        try:
            part = sink.pull()
        except (av.EOFError, BlockingIOError):
            break
        assert isinstance(part, av.AudioFrame), "an audio graph gives audio"
        parts.append(part.to_ndarray().reshape(-1).astype(np.float32))
    out = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    size = round(pcm.size * SAMPLE_RATE / rate)
    return np.ascontiguousarray(np.pad(out, (0, max(0, size - out.size)))[:size], np.float32)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
