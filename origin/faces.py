"""Opens the face of an avatar: the shipped person and a renderer that is warm, so that the first frame is in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from origin.avatar.background import Background, Behind

if TYPE_CHECKING:  # its libraries are an extra
    from origin.avatar.renderer import Renderer

Progress = Callable[[str, float], None]
"""What is being done, and which share of it (0-1) is."""


class FaceError(Exception):
    """The face cannot be drawn here; the message says why and what to do."""


def open_renderer(
    face: str,
    *,
    tier: Literal["light", "full"] = "light",
    threads: int = 1,
    size: tuple[int, int] = (854, 480),
    background: Background = Behind.SET,
    progress: Progress = lambda _what, _share: None,
) -> Renderer:
    """A renderer of `face` at `size` (width, height). The first one compiles its kernels (about 3 s once a machine). Raises FaceError."""
    try:
        from origin.avatar.person import load
        from origin.avatar.renderer import Renderer as AvatarRenderer
    except ImportError as error:
        raise FaceError(f"the renderer cannot be loaded ({error}): pip install 'avacast[origin]'") from error
    try:
        renderer = AvatarRenderer(load(face), *size, tier=tier, threads=threads, background=background)
        renderer.warm(progress)
    except (ValueError, OSError, RuntimeError) as error:
        raise FaceError(f"the face {face!r} cannot be drawn: {error}") from error
    return renderer
