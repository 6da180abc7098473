"""The renderer: pose in, I420 picture out. Two tiers of one look: `light` for CPUs, `full` for GPUs and baking.

One renderer serves one session; what is immutable (person, baked layers) is shared by all renderers of a person.
Not thread-safe: one renderer is used by one thread at a time. Warp releases the GIL while kernels run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from origin.avatar.background import Background, Behind, Matte
from origin.avatar.person import Avatar
from origin.avatar.pose import Pose
from origin.avatar.stillness import Stillness

Picture = NDArray[np.uint8]
"""I420 (BT.601, limited range): uint8 (height * 3 // 2, width); rows of Y, then U and V at half size."""

Progress = Callable[[str, float], None]
"""Told what is being prepared and how far it is, 0-1."""

Tier = Literal["light", "full"]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the picture in pixels; all numbers even."""

    x: int
    y: int
    width: int
    height: int


class TierRenderer(Protocol):
    """What a tier must do."""

    @property
    def head_box(self) -> Box: ...

    @property
    def matte(self) -> Matte | None: ...

    def cut(self) -> None: ...

    def pass_over(self, pose: Pose) -> None: ...

    def anew(self) -> None: ...

    def warm(self, progress: Progress) -> None: ...

    def render(self, pose: Pose) -> Picture: ...


class Renderer:
    """Draws one person.

    width and height must be even, 160-1920 and 120-1080. tier "light" needs one or two CPU `threads`.
    Raises ValueError for other sizes or tiers.
    """

    def __init__(
        self,
        avatar: Avatar,
        width: int = 854,
        height: int = 480,
        tier: Tier = "light",
        threads: int = 1,
        background: Background = Behind.SET,
    ) -> None:
        if width % 2 or height % 2 or not (160 <= width <= 1920 and 120 <= height <= 1080):
            raise ValueError(f"cannot draw {width}x{height}: sizes are even, 160x120 to 1920x1080")
        if threads not in (1, 2):
            raise ValueError(f"threads is 1 or 2, not {threads}")
        self.width, self.height, self.tier = width, height, tier
        self._stillness = Stillness(avatar, width, height)
        self._tier: TierRenderer
        if tier == "full":
            from origin.avatar.fullpicture import FullPicture

            self._tier = FullPicture(avatar, width, height, background)
        elif tier == "light":
            from origin.avatar.light import LightTier

            self._tier = LightTier(avatar, width, height, threads, background)
        else:
            raise ValueError(f"tier is light or full, not {tier!r}")

    @property
    def head_box(self) -> Box:
        """Where head, hair and neck are. Outside it only the clothes move, by a pixel, as the person breathes."""
        return self._tier.head_box

    @property
    def matte(self) -> Matte | None:
        """With nothing behind the person: how much of each pixel of the last picture is covered; the picture itself is then
        over black. Valid until the next `render`. None with a set or a colour."""
        return self._tier.matte

    def warm(self, progress: Progress = lambda step, done: None) -> None:
        """Compiles kernels (3 s once, then cached) and bakes what is missing; after it `render` never stalls."""
        self._tier.warm(progress)

    def travel_px(self, one: Pose, other: Pose) -> float:
        """The most pixels that anything moves between the pictures of two poses."""
        return self._stillness.travel_px(one, other)

    def cut(self) -> None:
        """The next picture does not follow from the last one: no fade of hair between them."""
        self._tier.cut()

    def pass_over(self, pose: Pose) -> None:
        """A pose that is not drawn, but that what follows is to follow: microseconds."""
        self._tier.pass_over(pose.clamped())

    def anew(self) -> None:
        """The next picture draws everything, so that it does not depend on which ones were drawn before."""
        self._tier.anew()

    def render(self, pose: Pose) -> Picture:
        """The picture of a pose. The array is valid until the next call. A broken pose is clamped, never drawn."""
        return self._tier.render(pose.clamped())
