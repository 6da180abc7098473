"""The contracts that nets of known families keep: what they hear, what they see, what they draw. docs/packages.md has the same as a table.

Sources: Wav2Lip (`hparams.py`, `audio.py`, `inference.py`), Ultralight-Digital-Human (`face_utils.py`, `unet.py`, `wenet_infer.py`),
SyncTalk_2D (`datasetsss_328.py`, `inference_328.py`), MuseTalk (`musetalk/utils/audio_processor.py`, `musetalk/models/unet.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from origin.neural.units import MOUTH_UNITS

Shape = tuple[int, ...]
WENET_FRAMES: Final = 67
"""Frames of 10 ms that WeNet's encoder hears at once."""


class Hearing(StrEnum):
    """What a net is driven by (features.py)."""

    UNITS = "units"
    MEL = "mel"
    AVE = "ave"
    HUBERT = "hubert"
    WENET = "wenet"
    WHISPER = "whisper"


class Masking(StrEnum):
    """What of a crop the net does not see."""

    LOWER_HALF = "lower half"
    RECTANGLE = "rectangle"
    LATENT = "latent"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Contract:
    """One family. Shapes are without the batch. `sides`: the picture's possible sizes, of which the model's file chooses;
    `margin`: pixels of the crop round the picture that the net sees; `bgr`: the order of its colours.
    """

    name: str
    hearing: Hearing
    audio: Shape
    sides: tuple[int, ...]
    masking: Masking
    margin: int = 0
    bgr: bool = True
    encoder: Shape | None = None
    """What the package's audio encoder gives for one frame; None: it needs none."""

    @property
    def latent(self) -> bool:
        """Whether the net works on latents, which a decoder turns into pictures."""
        return self.masking is Masking.LATENT

    def image(self, side: int) -> Shape:
        """What the net sees."""
        if self.latent:
            return (8, side // 8, side // 8)
        return (3 if self.masking is Masking.NOTHING else 6, side, side)

    def drawn(self, side: int) -> Shape:
        """What the net gives."""
        return (4, side // 8, side // 8) if self.latent else (3, side, side)


_ULTRALIGHT: Final = Contract(
    "ultralight", Hearing.HUBERT, (16, 32, 32), (160,), Masking.RECTANGLE, margin=4, encoder=(16, 1024)
)
_SYNCTALK: Final = Contract(
    "synctalk2d", Hearing.AVE, (32, 16, 16), (320,), Masking.RECTANGLE, margin=4, encoder=(16, 512)
)

CONTRACTS: Final[Mapping[str, Contract]] = {
    contract.name: contract
    for contract in (
        Contract(
            "units",
            Hearing.UNITS,
            (len(MOUTH_UNITS),),
            (64, 96, 128, 160, 192, 256),
            Masking.NOTHING,
            bgr=False,
        ),
        Contract("wav2lip", Hearing.MEL, (1, 80, 16), (96, 192, 256, 288, 384), Masking.LOWER_HALF),
        _ULTRALIGHT,
        replace(
            _ULTRALIGHT,
            name="ultralight-wenet",
            hearing=Hearing.WENET,
            audio=(128, 16, 32),
            encoder=(8, 16, 512),
        ),
        _SYNCTALK,
        replace(
            _SYNCTALK,
            name="synctalk2d-hubert",
            hearing=Hearing.HUBERT,
            audio=(32, 32, 32),
            encoder=(32, 1024),
        ),
        replace(
            _SYNCTALK,
            name="synctalk2d-wenet",
            hearing=Hearing.WENET,
            audio=(256, 16, 32),
            encoder=(16, 16, 512),
        ),
        Contract(
            "musetalk", Hearing.WHISPER, (50, 384), (256,), Masking.LATENT, bgr=False, encoder=(50, 384)
        ),
    )
}


def hidden(side: int) -> tuple[int, int, int, int]:
    """The rectangle that Ultralight and SyncTalk_2D black out in a picture of `side`: x, y, width, height."""
    return (5, 5, 150, 145) if side == 160 else (5, 5, side - 10, side - 15)


def told(shape: tuple[int | None, ...]) -> str:
    """A shape in words."""
    return "(" + ", ".join("n" if size is None else str(size) for size in shape) + ")"
