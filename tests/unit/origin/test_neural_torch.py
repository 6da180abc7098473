"""Torch's formats draw as ONNX does, and only when the operator has named their hash. Skipped where torch is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from origin.neural.nets import TRUSTED
from origin.neural.patch import PatchFace
from origin.packages.kinds import Wanted, open_package
from origin.packages.package import PackageError, digest
from tests.harness import nets

torch = pytest.importorskip("torch", reason="the extra `neural` is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


class Mouth(torch.nn.Module):  # type: ignore[misc, name-defined]
    """As the ONNX net of the harness: what it sees, darker at the mouth the more it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mouth", torch.from_numpy(nets.mouth(96)))

    def forward(self, audio, image):  # type: ignore[no-untyped-def]
        opened = torch.clamp(audio.mean((1, 2, 3), keepdim=True) * 0.25 + 1.0, 0, 1)
        return image[:, 3:6] * (1 - opened * self.mouth)


def package(folder: Path, kind: str) -> Path:
    nets.package(folder, "wav2lip")
    example = (torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, 96, 96))
    net = Mouth().eval()
    if kind == "pt":
        torch.jit.save(torch.jit.trace(net, example), str(folder / "net.pt"))
    else:
        batch = torch.export.Dim("n") if kind == "pt2" else None
        shapes = None if batch is None else {"audio": {0: batch}, "image": {0: batch}}
        given = example if batch is not None else (example[0][:1], example[1][:1])
        torch.export.save(torch.export.export(net, given, dynamic_shapes=shapes), str(folder / "net.pt2"))
    name = "net.pt" if kind == "pt" else "net.pt2"
    sheet = folder / "avatar.toml"
    text = sheet.read_text().replace(
        'file = "net.onnx"', f'file = "{name}"\nside = 96\ninputs = ["audio", "image"]'
    )
    sheet.write_text(text)
    return folder


@pytest.mark.parametrize("kind", ["pt", "pt2", "pt2 of one"])
def test_a_torch_model_draws_as_the_same_net_in_onnx(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = package(tmp_path / "torch", kind)
    with pytest.raises(PackageError, match=TRUSTED) as refused:
        open_package(folder, Wanted((320, 240)))
    model = folder / ("net.pt" if kind == "pt" else "net.pt2")
    assert digest(model) in str(refused.value), "the message says what to set"
    monkeypatch.setenv(TRUSTED, f"{'0' * 64}, {digest(model)}")
    face = open_package(folder, Wanted((320, 240)))
    other = open_package(nets.package(tmp_path / "onnx", "wav2lip"), Wanted((320, 240)))
    assert isinstance(face, PatchFace) and isinstance(other, PatchFace)
    asked = [(k, np.full((1, 80, 16), -k, np.float32)) for k in range(3)]
    ours, theirs = face._artist.draw(asked), other._artist.draw(asked)
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert np.ptp(ours[0].astype(int) - ours[2]) > 50, "the mouth moved"
    with model.open("ab") as changed:
        changed.write(b" ")
    with pytest.raises(PackageError, match=TRUSTED):
        open_package(folder, Wanted((320, 240)))
