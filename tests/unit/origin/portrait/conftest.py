"""A real photo, its portrait and a warm renderer of it, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from origin.portrait.photo import examined, read
from origin.portrait.portrait import Portrait
from origin.portrait.renderer import PortraitRenderer

PHOTO = Path(__file__).parents[3] / "data" / "portrait" / "astronaut.jpg"


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    return read(PHOTO)


@pytest.fixture(scope="session")
def portrait(photo: Image.Image) -> Portrait:
    return examined(photo, PHOTO.name, "astronaut")


@pytest.fixture(scope="session")
def renderer(portrait: Portrait) -> PortraitRenderer:
    renderer = PortraitRenderer(portrait)
    renderer.warm()
    return renderer


@pytest.fixture(scope="session")
def fixed(portrait: Portrait) -> PortraitRenderer:
    """Of the same photo without its matte: person and room are one surface."""
    renderer = PortraitRenderer(replace(portrait, matte=None))
    renderer.warm()
    return renderer
