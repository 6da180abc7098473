"""The kind `patch`: a loop of pictures of a person, and a net that redraws the mouth in them with the sound.

What is immutable (the loop, the net) is opened once a package and size and shared. A face holds what is one session's: its picture, and
how much of the drawn mouth is seen. In silence the loop's own mouth is shown and the net rests; it comes and goes within three frames.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from origin.avatar.background import Behind, Matte
from origin.batch.shared import Asked
from origin.faces import DeviceFull, Moment, Reach
from origin.neural import loop as loops
from origin.neural import nets
from origin.neural.artist import Artist
from origin.neural.contracts import Masking
from origin.neural.devices import DEVICES, Hold
from origin.neural.features import Features
from origin.neural.loop import Bytes, Floats
from origin.neural.nets import NetError
from origin.neural.paste import Paste, feathered
from origin.neural.sheet import Models, PatchSheet, models
from origin.packages.kinds import Kind, Wanted
from origin.packages.package import Fault, Package, PackageError

_COME: Final = 1 / 3
"""How much of the drawn mouth comes or goes in a frame."""

_Opened = tuple[Path, frozenset[tuple[str, int, int]], tuple[int, int]]
_opened: weakref.WeakValueDictionary[tuple[_Opened, str], Artist] = weakref.WeakValueDictionary()
"""What is open, by package, size and device."""
_opening = threading.Lock()


class PatchFace:
    """One session's face. `mask` is given where the package brings one, of any size."""

    matte: Matte | None = None

    def __init__(self, artist: Artist, sheet: PatchSheet, mask: Floats | None) -> None:
        contract = artist.models.contract
        self._artist, self._loop = artist, artist.loop
        self._to_and_fro = sheet.person.loop == "pingpong"
        self._features = artist.features
        self._top = {Masking.NOTHING: 0.0, Masking.LOWER_HALF: 0.42}.get(contract.masking, 0.3)
        self._mask = mask
        self._pastes: dict[tuple[int, int], Paste] = {}
        self._picture: Bytes = artist.loop.frames[0].copy()
        self._strength = 0.0

    @property
    def reach(self) -> Reach:
        return self._features.reach

    @property
    def net(self) -> Artist:
        return self._artist

    def show(self, moment: Moment) -> Bytes:
        """The picture of a moment. Raises NetError when the net fails."""
        found = self.ask(moment)
        if isinstance(found, Asked):
            return np.asarray(found.finish(self._artist.draw([found.content])[0]), np.uint8)
        return found

    def ask(self, moment: Moment) -> Bytes | Asked:
        """The picture of a moment, or the mouth that it still needs."""
        index = self._follow(moment)
        self._picture[:] = self._loop.frames[index]
        if not self._strength:
            return self._picture
        content = (index, self._features.heard(moment))
        return Asked(self._artist, content, lambda patch: self._pasted(index, patch))

    def _pasted(self, index: int, patch: Bytes) -> Bytes:
        box = self._loop.boxes[index]
        self._paste(box.width, box.height)(
            self._picture, loops.to_i420(patch, box.width, box.height), box, self._strength
        )
        return self._picture

    def render(self, pose: object) -> Bytes:
        """The first frame of the loop: what is seen when there is no moment."""
        self._picture[:] = self._loop.frames[0]
        return self._picture

    def pass_over(self, moment: Moment) -> None:
        self._follow(moment)

    def cut(self) -> None:
        self._strength = 0.0

    def anew(self) -> None:
        """Each picture is whole anyway."""

    def _follow(self, moment: Moment) -> int:
        """The frame of the loop; how much of the drawn mouth is seen changes with what is heard."""
        step = -_COME if self._features.silent(moment) else _COME
        self._strength = min(max(self._strength + step, 0.0), 1.0)
        if self._strength < 1e-6:
            self._strength = 0.0
        return self._loop.index(moment.frame, to_and_fro=self._to_and_fro)

    def _paste(self, width: int, height: int) -> Paste:
        found = self._pastes.get((width, height))
        if found is None:
            mask = (
                feathered(width, height, top=self._top)
                if self._mask is None
                else loops.scaled(self._mask, width, height)
            )
            found = self._pastes[width, height] = Paste(mask)
        return found


def open_face(package: Package, wanted: Wanted) -> PatchFace:
    """The face of a package of this kind, warm. Raises PackageError."""
    if wanted.background is not Behind.SET:
        raise package.refuse(
            "kind",
            "a patch is shown before its own background",
            "leave out --background, or use a shipped person",
        )
    sheet = package.sheet(PatchSheet)
    mask: Floats | None = None
    if sheet.person.mask is not None:
        grey = np.asarray(loops.still(package, "person.mask", sheet.person.mask, "L"), np.float32)
        mask = np.asarray(grey / 255, np.float32)
    key = (package.folder.resolve(), _state(package.folder), wanted.size)
    with _opening:  # two sessions of one package open it once
        artist, hold = _placed(key, package, sheet, wanted)
    face = PatchFace(artist, sheet, mask)
    weakref.finalize(face, DEVICES.release, hold)
    return face


def _placed(key: _Opened, package: Package, sheet: PatchSheet, wanted: Wanted) -> tuple[Artist, Hold]:
    """The package's net on the device that one more session of it is to use, and its part of that device. Raises DeviceFull."""
    names = nets.devices(package.folder / sheet.model.file)
    open_at = {name: artist for name in names if (artist := _opened.get((key, name))) is not None}
    name = DEVICES.choose(names, {name: artist.share for name, artist in open_at.items()})
    artist = open_at.get(name)
    if artist is None:
        artist = _opened[key, name] = _artist(package, sheet, wanted, name)
    hold = DEVICES.hold(artist.device, artist.share)
    if hold is None:
        raise DeviceFull(
            f"{artist.device} has no time for one more session of the package {package.folder.name}: a frame takes "
            f"{artist.sizes.cost_s * 1000:.1f} ms there; use another origin, or end a session"
        )
    return artist, hold


def _state(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Name, size and time of each file: a package that was changed is opened anew."""
    infos = ((path, path.lstat()) for path in folder.rglob("*"))
    return frozenset((str(path), info.st_size, info.st_mtime_ns) for path, info in infos)


def _artist(package: Package, sheet: PatchSheet, wanted: Wanted, device: str) -> Artist:
    wanted.progress("Trying the models", 0.0)
    found = models(package, sheet)
    loop = loops.read(
        package,
        frames=sheet.person.frames,
        boxes=sheet.person.boxes,
        size=wanted.size,
        side=found.side,
        margin=found.contract.margin,
        progress=wanted.progress,
    )
    latents = _latents(package, sheet, found, len(loop.boxes))
    frames = found.encoder.frames if found.encoder else 0
    features = Features(found.contract, offset_ms=sheet.audio.offset_ms, frames=frames or 200)
    try:
        artist = Artist(found, loop, features, latents, device=device)
        artist.measure()
    except NetError as error:
        raise package.refuse("model.file", str(error)) from error
    wanted.progress("Reading the person", 1.0)
    return artist


def _latents(package: Package, sheet: PatchSheet, found: Models, frames: int) -> Floats | None:
    """MuseTalk's latents of each frame: masked, and reference."""
    name = sheet.person.latents
    if (name is not None) != found.contract.latent:
        what = "needs one" if name is None else "has none"
        raise package.refuse(
            "person.latents", f"the contract {found.contract.name} {what}", "see docs/packages.md"
        )
    if name is None:
        return None
    path = package.file("person.latents", name, suffixes=(".safetensors",), most_bytes=1 << 30)
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise package.refuse(
            "person.latents", f"safetensors is not installed ({error})", "pip install 'avacast[neural]'"
        ) from error
    wanted = (frames, *found.contract.image(found.side))
    try:
        with safe_open(path, "numpy") as file:
            if "latents" not in file.keys():  # noqa: SIM118 - it is no mapping
                raise package.refuse("person.latents", f"{name} has no tensor `latents`")
            if tuple(file.get_slice("latents").get_shape()) != wanted:
                shape = tuple(file.get_slice("latents").get_shape())
                raise package.refuse(
                    "person.latents", f"latents is {shape}, {wanted} for {frames} frames is needed"
                )
            latents = np.asarray(file.get_tensor("latents"), np.float32)
    except (SafetensorError, OSError, TypeError) as error:
        raise package.refuse("person.latents", f"{name} is no safetensors file ({error})"[:200]) from None
    if not np.isfinite(latents).all():
        raise package.refuse("person.latents", "latents has numbers that are not finite")
    return latents


def facts(package: Package) -> Mapping[str, str]:
    """What is found in a package. Raises PackageError with all that is wrong, as far as one thing does not hide another."""
    sheet = package.sheet(PatchSheet)
    faults: list[Fault] = []
    found: dict[str, str] = {}
    side, margin = 64, 0
    try:
        tried = models(package, sheet)
        found, side, margin = dict(tried.found), tried.side, tried.contract.margin
    except PackageError as error:
        faults += error.faults
    try:
        person = sheet.person
        loop = loops.read(
            package, frames=person.frames, boxes=person.boxes, size=None, side=side, margin=margin
        )
        sizes = {(box.width, box.height) for box in loop.boxes}
        found["person"] = f"{len(loop.boxes)} frames of {loop.width}x{loop.height}, boxes " + ", ".join(
            f"{w}x{h}" for w, h in sorted(sizes)[:3]
        )
        if person.mask is not None:
            loops.still(package, "person.mask", person.mask, "L")
        if not faults:
            _latents(package, sheet, tried, len(loop.boxes))
    except PackageError as error:
        faults += error.faults
    if faults:
        raise PackageError(package.folder, faults)
    reach = Features(tried.contract, offset_ms=sheet.audio.offset_ms).reach
    found["hears"] = (
        "the pose"
        if reach == Reach()
        else f"{reach.before / 48:.0f} ms before to {reach.after / 48:.0f} ms after"
    )
    return found


KIND: Final = Kind(
    "patch", "a loop of pictures of a person, in which a net redraws the mouth", open_face, facts
)
