"""The audio encoder that a package brings (HuBERT, Whisper, AVE, WeNet): what it takes, and the encoder at work for all sessions of a net.

AVE and WeNet hear windows round a frame that the next frame mostly hears again: what was encoded is kept for a while, by what was heard, so
that a frame costs one window or none. What is given depends on what is heard alone, kept or not.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from origin.neural import trial
from origin.neural.contracts import WENET_FRAMES, Contract, Hearing, Shape, told
from origin.neural.nets import Floats, NetError, load

_KEPT_BYTES: Final = 64 << 20
_STEADY: Final[Mapping[str, trial.Constant]] = {
    "offset": ((1,), 100),
    "att_cache": ((3, 8, 16, 128), 0.0),
    "cnn_cache": ((3, 1, 512, 14), 0.0),
}
"""Inputs of WeNet's encoder beside the sound, which stay what they are: each window is heard as if nothing had been before."""


@dataclass(frozen=True, slots=True)
class EncoderModel:
    """An encoder that is sound. `rows`: how many rows of `Features.heard` it takes at once, None: any number; `frames`: the length of
    Whisper's window in mel frames, 0 for others.
    """

    file: Path
    input: str
    rows: int | None
    frames: int
    constants: Mapping[str, trial.Constant]


def examined(path: Path, contract: Contract) -> tuple[EncoderModel, str]:
    """The encoder in a file, tried in a process of its own, and what was found in words. Raises NetError."""
    ports = trial.ports(path)
    constants = _constants(ports) if contract.hearing is Hearing.WENET else {}
    heard = {name: shape for name, shape in ports.items() if name not in constants}
    if len(heard) != 1:
        more = f" beside {', '.join(_STEADY)}" if contract.hearing is Hearing.WENET else ""
        raise NetError(f"the encoder has the inputs {', '.join(ports)}; it may have one{more}")
    name, shape = next(iter(heard.items()))
    frames = 0
    if contract.hearing is Hearing.WHISPER:
        if len(shape) != 3 or shape[1] not in (None, 80):
            raise NetError(f"the encoder hears {told(tuple(shape))}, Whisper's hears (1, 80, frames)")
        frames = shape[2] or 200
    whole, row, wanted = _shapes(contract, frames)
    fixed = shape[0] if shape else None
    rows = fixed or whole
    if whole % rows:
        raise NetError(
            f"the encoder hears {rows} rows at once; a frame has {whole}: export it with that many, or any"
        )
    feed = (rows, *row)
    answer = trial.tried(path, {name: feed}, constants)
    got = tuple(answer["shape"])
    exact = contract.hearing is not Hearing.HUBERT  # its tokens are as many as the sound is long
    fits = got[1:] == wanted if exact else len(got) == 3 and got[1] >= wanted[0] and got[2] == wanted[1]
    if not fits or got[0] != rows:
        raise NetError(
            f"the encoder gives {told(got)} for {told(feed)}; the contract {contract.name} has {told((rows, *wanted))}"
        )
    free = not fixed and _takes(path, name, (2 * rows, *row), constants, got)
    model = EncoderModel(path, name, None if free else rows, frames, constants)
    at_once = "" if free else f", {rows} at a time: export it with a dynamic batch"
    return model, f"{path.name}, {told(feed)} -> {told(got)}, {answer['ms']:.1f} ms{at_once}"


def _shapes(contract: Contract, frames: int) -> tuple[int, Shape, Shape]:
    """Rows of a frame, the shape of a row, and of what is given for one (for HuBERT: the least)."""
    assert contract.encoder is not None
    match contract.hearing:
        case Hearing.WHISPER:
            return 1, (80, frames), (min(frames, 3000) // 2, 5, 384)
        case Hearing.AVE:
            return contract.encoder[0], (1, 80, 16), contract.encoder[1:]
        case Hearing.WENET:
            return contract.encoder[0], (1, WENET_FRAMES, 80), contract.encoder[1:]
    return 1, (16_000,), contract.encoder


def _constants(ports: Mapping[str, list[int | None]]) -> dict[str, trial.Constant]:
    """What the inputs of WeNet's encoder beside the sound are given."""
    found: dict[str, trial.Constant] = {}
    for name, (usual, value) in _STEADY.items():
        if name in ports:
            shape = ports[name]
            if len(shape) != len(usual):
                raise NetError(
                    f"the encoder's {name} is {told(tuple(shape))}; WeNet's is {told(tuple(usual))}"
                )
            found[name] = (tuple(size or other for size, other in zip(shape, usual, strict=True)), value)
    return found


def _takes(path: Path, name: str, feed: Shape, constants: Mapping[str, trial.Constant], given: Shape) -> bool:
    """Whether the encoder gives twice as much for twice as much, whatever it says of its shapes."""
    try:
        answer = trial.tried(path, {name: feed}, constants)
    except NetError:
        return False
    return tuple(answer["shape"]) == (2 * given[0], *given[1:])


class Encoder:
    """An encoder at work. Thread-safe."""

    def __init__(self, model: EncoderModel, device: str | None = None) -> None:
        self._model = model
        self._net = load(model.file, device)
        self._constants = {name: trial.array_of(*constant) for name, constant in model.constants.items()}
        self._kept: OrderedDict[bytes, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def encoded(self, heard: Sequence[Floats]) -> list[Floats]:
        """What is given for each of `heard` (rows, ...): (rows, ...). Raises NetError."""
        rows = np.concatenate(heard)
        each = len(rows) // len(heard)
        given = self._run(rows) if each == 1 else self._remembered(rows)
        return [given[at : at + each] for at in range(0, len(rows), each)]

    def _remembered(self, rows: Floats) -> Floats:
        """As `_run`; what was heard lately is not run again."""
        keys = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
        known: dict[bytes, Floats] = {}
        with self._lock:
            for key in keys:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    known[key] = self._kept[key]
        new = {key: at for at, key in enumerate(keys) if key not in known}
        if new:
            run = dict(zip(new, (one.copy() for one in self._run(rows[list(new.values())])), strict=True))
            known |= run
            with self._lock:
                self._kept |= run
                most = max(1, _KEPT_BYTES // known[keys[0]].nbytes)
                while len(self._kept) > most:
                    self._kept.popitem(last=False)
        return np.stack([known[key] for key in keys])

    def _run(self, rows: Floats) -> Floats:
        """All rows, in runs of as many as the encoder takes."""
        size = self._model.rows or self._size(len(rows))
        runs = [
            self._net.run({self._model.input: filled(rows[at : at + size], size), **self._constants})
            for at in range(0, len(rows), size)
        ]
        return np.concatenate(runs)[: len(rows)]

    def _size(self, count: int) -> int:
        """Rows of a run: on a GPU a power of two, as each size is prepared there once."""
        return count if self._net.device == "cpu" else 1 << (count - 1).bit_length()


def filled(rows: Floats, size: int) -> Floats:
    """`size` rows: the last one is repeated."""
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), 0)]) if len(rows) < size else rows
