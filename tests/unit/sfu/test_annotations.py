"""A pod's annotations: what asks for a drain, and a file that changes as Kubernetes changes it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sfu.annotations import MOST_BYTES, Annotations, asks_for_drain


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("", False),
        ('drain="true"', True),
        ('kubernetes.io/config.source="api"\ndrain="true"\n', True),
        ('drain="false"', False),
        ('drain="TRUE"', False),
        ('undrain="true"', False),
        ('note="line one\\ndrain=\\"true\\""', False),
        ("drain=true", False),
        ("\x00\ufffd\n\n=", False),
    ],
)
def test_only_drain_true_asks_for_a_drain(text: str, asks: bool) -> None:
    assert asks_for_drain(text) is asks


class Volume:
    """A downward API volume: the file is a link into a folder that is swapped as a whole."""

    def __init__(self, root: Path) -> None:
        self._root, self._count = root, 0
        self.path = root / "annotations"
        self.path.symlink_to("..data/annotations")

    def write(self, text: str) -> None:
        self._count += 1
        folder = self._root / f"..{self._count}"
        folder.mkdir()
        (folder / "annotations").write_text(text)
        fresh = self._root / "..data_tmp"
        fresh.symlink_to(folder.name)
        fresh.replace(self._root / "..data")


@pytest.mark.slow
async def test_a_drain_is_asked_for_and_taken_back(tmp_path: Path) -> None:
    volume, asked = Volume(tmp_path), asyncio.Queue[bool]()
    looking = Annotations(volume.path, asked.put)
    looking.start()
    try:
        async with asyncio.timeout(30):
            volume.write('team="video"\ndrain="true"')
            assert await asked.get() is True
            volume.write(
                "x" * (MOST_BYTES + 1)
            )  # nothing that Kubernetes writes: it is as if it were not there
            volume.write('team="video"')
            assert await asked.get() is False
            volume.write('drain="true"')
            assert await asked.get() is True
    finally:
        await looking.close()
    assert asked.empty()
