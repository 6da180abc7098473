"""The net of one package at work, shared by all sessions that show it: frames of the loop and features in, patches out, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from origin.neural.contracts import Masking, hidden
from origin.neural.loop import Loop
from origin.neural.nets import Floats, Net, load
from origin.neural.sheet import Models

Bytes = NDArray[np.uint8]

_SCALE: Final = np.float32(1 / 0.18215)
"""Of Stable Diffusion's latents."""


class Artist:
    """Draws. Thread-safe, as the nets are. `latents` (frames, 8, s, s) where the contract works on them."""

    def __init__(self, models: Models, loop: Loop, latents: Floats | None = None) -> None:
        self.models, self.loop, self._latents = models, loop, latents
        self._net = load(models.net)
        self._decoder = load(models.decoder) if models.decoder else None
        self.encoder: Net | None = load(models.encoder) if models.encoder else None

    @property
    def device(self) -> str:
        """Where the net runs."""
        return self._net.device

    def draw(self, asked: Sequence[tuple[int, Floats]]) -> Bytes:
        """Patches (n, side, side, 3) RGB for (frame of the loop, features) each. Raises NetError."""
        images = np.stack([self._image(index) for index, _ in asked])
        sounds = np.stack([features for _, features in asked]).astype(np.float32)
        drawn = self._batched(images, sounds)
        if self._decoder is not None:
            name = self._decoder.inputs[0].name
            drawn = np.asarray(self._decoder.run({name: drawn * _SCALE}) / 2 + 0.5, np.float32)
        out = np.nan_to_num(drawn, nan=0.5).transpose(0, 2, 3, 1)
        rgb = out[..., ::-1] if self.models.contract.bgr else out
        return np.asarray(np.round(np.clip(rgb, 0, 1) * 255), np.uint8)

    def encode(self, features: Floats) -> Floats:
        """The package's audio encoder."""
        assert self.encoder is not None, "the sheet was refused without it"
        return self.encoder.run({self.encoder.inputs[0].name: features})

    def _batched(self, images: Floats, sounds: Floats) -> Floats:
        """The net's output, in batches of the size that it has."""
        size = self.models.batch or len(images)
        parts = []
        for first in range(0, len(images), size):
            image, sound = images[first : first + size], sounds[first : first + size]
            more = size - len(image)
            if more:
                image, sound = (np.concatenate([v, np.repeat(v[-1:], more, 0)]) for v in (image, sound))
            given: dict[str, Any] = {"image": image, "audio": sound, "timestep": np.zeros(1, np.int64)}
            names = self.models.names
            parts.append(self._net.run({names[role]: given[role] for role in names})[: size - more])
        return np.concatenate(parts)

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
