"""Opens packages of kind "portrait": the renderer as a face."""

from __future__ import annotations

from typing import Final

from origin.avatar.background import Matte
from origin.encoder import I420
from origin.faces import Moment, Reach
from origin.packages.kinds import Kind, Wanted
from origin.packages.package import Package
from origin.portrait.portrait import facts, open_portrait
from origin.portrait.renderer import PortraitRenderer


class PortraitFace:
    """A portrait as a face: the pose is all that it needs."""

    reach = Reach()

    def __init__(self, renderer: PortraitRenderer) -> None:
        self.renderer = renderer

    @property
    def matte(self) -> Matte | None:
        return self.renderer.matte

    def show(self, moment: Moment) -> I420:
        return self.renderer.render(moment.pose)

    def pass_over(self, moment: Moment) -> None:
        self.renderer.pass_over(moment.pose)

    def cut(self) -> None:
        self.renderer.cut()

    def anew(self) -> None:
        self.renderer.anew()


def _open(package: Package, wanted: Wanted) -> PortraitFace:
    renderer = PortraitRenderer(open_portrait(package), *wanted.size, background=wanted.background)
    renderer.warm(wanted.progress)
    return PortraitFace(renderer)


KIND: Final = Kind("portrait", "one photo, animated", _open, facts)
