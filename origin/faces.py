"""Faces of avatars: shipped people, which a renderer draws from poses, and packages; opened warm, so that the first frame is in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from origin.avatar.background import Background, Behind, Matte
from origin.avatar.pose import Pose
from origin.batch.shared import Asked, SharedNet
from origin.encoder import I420
from speech.voice import Pcm

if TYPE_CHECKING:  # its libraries are an extra
    from origin.avatar.renderer import Renderer

Progress = Callable[[str, float], None]
"""What is being done, and which share of it (0-1) is."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The sound that a face must know to draw a frame, in samples at 48 kHz: before the frame's first sample, and from it on."""

    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """What a face draws: frame `frame` (40 ms each, from the beginning), the pose in its middle, and the sound of its reach."""

    frame: int
    pose: Pose
    sound: Pcm


@runtime_checkable
class Face(Protocol):
    """A face that a package brings. One thread at a time; a picture is valid until the next `show`.

    What it draws depends on the moment, and on the moments shown or passed over before it, never on a clock.
    """

    @property
    def reach(self) -> Reach:
        """What it hears; nothing when the pose is enough."""
        ...

    @property
    def matte(self) -> Matte | None:
        """Coverage of the last picture, where nothing is behind the person."""
        ...

    def show(self, moment: Moment) -> I420:
        """The picture (height * 3 // 2, width) of a moment."""
        ...

    def pass_over(self, moment: Moment) -> None:
        """A moment that is not drawn, but that what follows is to follow."""
        ...

    def cut(self) -> None:
        """What comes next does not follow from what was."""
        ...

    def anew(self) -> None:
        """The next picture draws everything."""
        ...


@runtime_checkable
class SharedFace(Face, Protocol):
    """A face whose net draws for several sessions at once."""

    @property
    def net(self) -> SharedNet:
        """Which net that is."""
        ...

    def ask(self, moment: Moment) -> I420 | Asked:
        """As `show`; or what the net is to draw before there is a picture, whose `finish` returns it."""
        ...


class FaceError(Exception):
    """The face cannot be drawn here; the message says why and what to do."""


class DeviceFull(FaceError):
    """No device of this machine has time for one more such face."""


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


def open_face(
    face: str,
    *,
    tier: Literal["light", "full"] = "light",
    threads: int = 1,
    size: tuple[int, int] = (854, 480),
    packages: Path | None = None,
    progress: Progress = lambda _what, _share: None,
) -> Renderer | Face:
    """The face `face`: a package of that name in `packages` or among the shipped ones, else a shipped person. Raises FaceError."""
    from origin.packages.library import find

    folder = find(face, packages)
    if folder is None:
        return open_renderer(face, tier=tier, threads=threads, size=size, progress=progress)
    return open_package(folder, threads=threads, size=size, progress=progress)


def open_package(
    folder: Path,
    *,
    threads: int = 1,
    size: tuple[int, int] = (854, 480),
    background: Background = Behind.SET,
    progress: Progress = lambda _what, _share: None,
) -> Face:
    """The face of the package in `folder`. Raises FaceError."""
    from origin.packages import kinds
    from origin.packages.package import PackageError

    try:
        return kinds.open_package(folder, kinds.Wanted(size, threads, background, progress))
    except PackageError as error:
        raise FaceError(str(error)) from error
