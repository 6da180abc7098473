"""The net of the contract `units`: a picture of a mouth at rest and 31 face units in, the picture with that mouth out. Some 0.4 M weights.

It works on 4x4 pixels at once (32x32 cells), sinks to 8x8, is told the units there and on the way up (a scale and a shift for each
channel), and gives what is to be added to the picture.
"""

# mypy: disable-error-code="misc,no-untyped-call,no-any-return"

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as f

CELL: Final = 4
_WIDE: Final = (48, 64, 80)
_CODE: Final = 96


class Told(nn.Module):
    """Two convolutions round a shift and scale by the code, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.told = nn.Linear(_CODE, 2 * channels)
        nn.init.zeros_(self.told.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.told(code)[:, :, None, None].chunk(2, 1)
        inner = self.first(f.silu(x)) * (1 + scale) + shift
        return x + self.second(f.silu(inner))


class MouthNet(nn.Module):
    """image (n, 3, s, s) RGB 0-1, units (n, 31) -> (n, 3, s, s) RGB 0-1; s is a multiple of 16."""

    def __init__(self, units: int) -> None:
        super().__init__()
        low, mid, deep = _WIDE
        self.code = nn.Sequential(nn.Linear(units, _CODE), nn.SiLU(), nn.Linear(_CODE, _CODE), nn.SiLU())
        self.enter = nn.Conv2d(3 * CELL**2, low, 1)
        self.sink = nn.Conv2d(low, mid, 3, stride=2, padding=1)
        self.deeper = nn.Conv2d(mid, deep, 3, stride=2, padding=1)
        self.at_deep = Told(deep)
        self.rise = nn.Conv2d(deep, 4 * mid, 1)
        self.at_mid = Told(mid)
        self.higher = nn.Conv2d(mid, 4 * low, 1)
        self.at_low = Told(low)
        self.leave = nn.Conv2d(low, 3 * CELL**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, image: Tensor, units: Tensor) -> Tensor:
        code = self.code(units)
        low = self.enter(f.pixel_unshuffle(image, CELL))
        mid = self.sink(f.silu(low))
        deep = self.at_deep(self.deeper(f.silu(mid)), code)
        mid = self.at_mid(mid + f.pixel_shuffle(self.rise(f.silu(deep)), 2), code)
        low = self.at_low(low + f.pixel_shuffle(self.higher(f.silu(mid)), 2), code)
        return image + f.pixel_shuffle(self.leave(f.silu(low)), CELL)


def difference(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean error of colours, and of edges: what makes teeth sharp."""

    def edges(x: Tensor) -> tuple[Tensor, Tensor]:
        return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]

    loss = f.l1_loss(made, wanted)
    for one, other in zip(edges(made), edges(wanted), strict=True):
        loss = loss + f.l1_loss(one, other)
    return torch.as_tensor(loss)
