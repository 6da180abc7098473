"""The net of one package at work, shared by all sessions that show it: frames of the loop and features in, patches out, in batches."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from origin.batch.shared import LONGEST_S, Sizes
from origin.clock import FRAME_RATE
from origin.neural.contracts import Masking, hidden
from origin.neural.encoder import Encoder, filled
from origin.neural.features import Features
from origin.neural.loop import Loop
from origin.neural.nets import Floats, load
from origin.neural.sheet import Models

Bytes = NDArray[np.uint8]

_SCALE: Final = np.float32(1 / 0.18215)
"""Of Stable Diffusion's latents."""
BUCKETS: Final = (1, 2, 4, 8)
"""Sizes of batches: few, as a GPU keeps a captured graph for each."""
_TRIALS: Final = 3


class Artist:
    """Draws. Thread-safe, as the nets are. `latents` (frames, 8, s, s) where the contract works on them."""

    def __init__(
        self,
        models: Models,
        loop: Loop,
        features: Features,
        latents: Floats | None = None,
        *,
        device: str | None = None,
    ) -> None:
        self.models, self.loop, self.features, self._latents = models, loop, features, latents
        self._net = load(models.net, device)
        self._decoder = load(models.decoder, device) if models.decoder else None
        self._encoder = Encoder(models.encoder, device) if models.encoder else None
        self.sizes = Sizes({models.batch or 1: max(models.net_ms, 0.001) / 1000})
        """In which it draws; `measure` finds the best."""

    @property
    def device(self) -> str:
        """Where the net runs."""
        return self._net.device

    @property
    def most(self) -> int:
        """Frames of a batch; 1 where a batch is no quicker than one by one."""
        return self.sizes.most

    @property
    def lanes(self) -> int:
        """Batches drawn at once: one on a GPU, one a thread on a CPU."""
        return (os.cpu_count() or 1) if self.device == "cpu" else 1

    @property
    def share(self) -> float:
        """Part of a device that a session takes which always speaks, by prediction."""
        return FRAME_RATE * self.sizes.cost_s

    def measure(self) -> None:
        """Finds out which sizes pay here, and what a frame costs. Raises NetError."""
        spent_s = (
            time.thread_time
            if self.device == "cpu" and self.models.net.suffix == ".onnx"
            else time.perf_counter
        )
        costs: dict[int, float] = {}
        for size in (self.models.batch,) if self.models.batch else BUCKETS:
            taken = []
            for frame in range(1 + _TRIALS):
                asked = [(0, self.features.murmur(session, frame)) for session in range(size)]
                began_s = spent_s()
                self._drawn(asked, size)
                taken.append(spent_s() - began_s)
            going_on = taken[1:]  # as sessions that go on: what they heard before is known
            costs[size] = max(float(np.median(going_on)), 1e-6)
            if costs[size] > LONGEST_S:
                break
        self.sizes = Sizes(costs)

    def draw(self, asked: Sequence[tuple[int, Floats]]) -> Bytes:
        """Patches (n, side, side, 3) RGB for (frame of the loop, what is heard there: `Features.heard`) each. Raises NetError."""
        parts, first = [], 0
        for size in self.sizes.parts(len(asked)):
            parts.append(self._drawn(asked[first : first + size], size))
            first += size
        return np.concatenate(parts)

    def _drawn(self, asked: Sequence[tuple[int, Floats]], size: int) -> Bytes:
        """As `draw`, in one batch of `size`, of which the last is repeated in places that nobody takes."""
        given: dict[str, Any] = {
            "image": filled(np.stack([self._image(index) for index, _ in asked]), size),
            "audio": filled(self._audio([heard for _, heard in asked]), size),
            "timestep": np.zeros(1, np.int64),
        }
        names = self.models.names
        drawn = self._net.run({names[role]: given[role] for role in names})[: len(asked)]
        if self._decoder is not None:
            name = self._decoder.inputs[0].name
            drawn = np.asarray(self._decoder.run({name: drawn * _SCALE}) / 2 + 0.5, np.float32)
        out = np.nan_to_num(drawn, nan=0.5).transpose(0, 2, 3, 1)
        rgb = out[..., ::-1] if self.models.contract.bgr else out
        return np.asarray(np.round(np.clip(rgb, 0, 1) * 255), np.uint8)

    def _audio(self, heard: Sequence[Floats]) -> Floats:
        """What the net hears (n, ...): by the package's encoder, where there is one."""
        if self._encoder is None:
            return np.stack(heard).astype(np.float32)
        return np.stack([self.features.told(one) for one in self._encoder.encoded(heard)])

    def _image(self, index: int) -> Floats:
        """What the net sees of a frame of the loop."""
        contract = self.models.contract
        if contract.latent:
            assert self._latents is not None, "the package was refused without them"
            return np.asarray(self._latents[index], np.float32)
        crop = self.loop.crops[index]
        whole = (crop[..., ::-1] if contract.bgr else crop).transpose(2, 0, 1).astype(np.float32)
        whole *= np.float32(1 / 255)
        if contract.masking is Masking.NOTHING:
            return np.asarray(whole, np.float32)
        masked = whole.copy()
        if contract.masking is Masking.LOWER_HALF:
            masked[:, whole.shape[1] // 2 :] = 0
            return np.concatenate([masked, whole])
        x, y, width, height = hidden(whole.shape[1])
        masked[:, y : y + height, x : x + width] = 0
        return np.concatenate([whole, masked])
