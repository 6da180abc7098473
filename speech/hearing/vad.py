"""Is this a voice? Silero's detector (MIT, the file that faster-whisper carries), frame by frame.

A frame is 512 samples at 16 kHz with the 64 before it; two states of 128 numbers go from frame to frame. 0.1 ms of one core each.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime

from speech.hearing.events import Sound
from speech.voice import VoiceError

FRAME: Final = 512
"""Samples of a frame at 16 kHz."""
_CONTEXT: Final = 64
_STATE: Final = (1, 1, 128)
_FILE: Final = "silero_vad_v6.onnx"


class Detector(Protocol):
    """Tells the probability of a voice (0 to 1) in each frame of FRAME samples, in order; keeps its own state."""

    def __call__(self, frame: Sound) -> float: ...


class Silero:
    """The model, shared by all speakers; `detector` makes one for each. Thread-safe."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("faster_whisper")
        if found is None or found.origin is None:
            raise VoiceError("nothing to hear with is installed: pip install 'avacast[origin]'")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = Path(found.origin).with_name("assets") / _FILE
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own errors have no common base class
            raise VoiceError(f"cannot load the voice detector {path}: {error}") from error

    def detector(self) -> Detector:
        """A detector for one speaker."""
        return _Ear(self._session)


class _Ear:
    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = np.zeros((1, _CONTEXT + FRAME), np.float32)
        self._h = np.zeros(_STATE, np.float32)
        self._c = np.zeros(_STATE, np.float32)

    def __call__(self, frame: Sound) -> float:
        self._input[0, :_CONTEXT] = self._input[0, -_CONTEXT:]
        self._input[0, _CONTEXT:] = frame
        probability, self._h, self._c = self._session.run(
            None, {"input": self._input, "h": self._h, "c": self._c}
        )
        return float(probability.ravel()[0])
