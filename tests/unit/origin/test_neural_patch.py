"""Packages of each contract draw: their nets see and hear what the contract says, and what is wrong with one is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from origin.avatar.articulation import REST, SHAPES
from origin.avatar.background import Behind
from origin.avatar.pose import Pose
from origin.faces import Moment
from origin.neural import loop as loops
from origin.neural import trial
from origin.neural.artist import Artist
from origin.neural.contracts import CONTRACTS
from origin.neural.loop import to_i420
from origin.neural.paste import Paste, feathered
from origin.neural.patch import PatchFace
from origin.packages.kinds import Wanted, kind_of, open_package
from origin.packages.package import PackageError, read
from tests.harness import nets

pytestmark = [pytest.mark.timeout(180)]
SIZE = (320, 240)
LOUD, SILENT = 1, 0
DRAWN = ("units", "wav2lip", "ultralight", "ultralight-wenet", "synctalk2d", "musetalk")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    return {name: nets.package(folder / name, name) for name in DRAWN}


def opened(folder: Path) -> PatchFace:
    face = open_package(folder, Wanted(SIZE))
    assert isinstance(face, PatchFace)
    return face


def moment(face: PatchFace, frame: int, level: float) -> Moment:
    size = face.reach.before + face.reach.after
    noise = np.random.default_rng(7).standard_normal(size).astype(np.float32)
    return Moment(
        frame, Pose(REST + (SHAPES["aa"] - REST) * np.float32(level)), noise * np.float32(0.2 * level)
    )


def luma(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return picture[: SIZE[1]].astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_a_package_of_each_contract_moves_the_mouth_and_nothing_else(
    name: str, packages: dict[str, Path]
) -> None:
    face = opened(packages[name])
    frames = [face.show(moment(face, k, SILENT)).copy() for k in range(6)]
    for k in range(6, 10):
        face.show(moment(face, k, LOUD))
    spoken = face.show(moment(face, 4, LOUD)).copy()
    change = np.abs(luma(spoken) - luma(frames[4]))
    box = face._loop.boxes[4]
    inside = change[box.y : box.y + box.height, box.x : box.x + box.width]
    outside = change.copy()
    outside[box.y : box.y + box.height, box.x : box.x + box.width] = 0
    assert inside.max() > 15, "the mouth moves"
    assert outside.max() == 0, "nothing else does"
    assert inside[0].max() <= 2 and inside[:, 0].max() <= 2 and inside[-1].max() <= 2, "no edge is seen"
    if name != "musetalk":  # whose test decoder draws no face
        h, w = box.height, box.width
        mouth = inside[int(0.66 * h) : int(0.78 * h), int(0.42 * w) : int(0.58 * w)].mean()
        brow = inside[int(0.3 * h) : int(0.5 * h), int(0.3 * w) : int(0.7 * w)].mean()
        assert mouth > 15 and mouth > 5 * brow, "where the mouth is"


@pytest.mark.parametrize("name", ["wav2lip", "units"])
def test_the_louder_the_wider(name: str, packages: dict[str, Path]) -> None:
    face = opened(packages[name])
    darkness = []
    for level in (0.3, 0.6, 1.0):
        for k in range(4):
            picture = face.show(moment(face, k, level))
        box = face._loop.boxes[3]
        middle = luma(picture)[box.y + box.height * 6 // 10 : box.y + box.height * 8 // 10]
        darkness.append(-float(middle[:, box.x + box.width // 2].mean()))
    assert darkness == sorted(darkness) and darkness[-1] > darkness[0] + 0.5


@pytest.mark.slow
def test_what_a_net_sees_is_masked_as_its_contract_says(packages: dict[str, Path]) -> None:
    seen: dict[str, NDArray[np.float32]] = {}
    for name in ("wav2lip", "ultralight", "synctalk2d", "units"):
        artist: Artist = opened(packages[name])._artist
        seen[name] = artist._image(2)
        whole = seen[name][3:] if name == "wav2lip" else seen[name][:3]
        crop = artist.loop.crops[2].astype(np.float32) / 255
        order = crop[..., ::-1] if CONTRACTS[name].bgr else crop
        assert np.allclose(whole, order.transpose(2, 0, 1), atol=1e-6)
    assert seen["wav2lip"].shape == (6, 96, 96)
    assert not seen["wav2lip"][:3, 48:].any() and seen["wav2lip"][:3, :48].any()
    assert seen["ultralight"].shape == (6, 160, 160)
    assert not seen["ultralight"][3:, 5:150, 5:155].any() and seen["ultralight"][3:, :5].any()
    assert seen["synctalk2d"].shape == (6, 320, 320)
    assert not seen["synctalk2d"][3:, 5:310, 5:315].any() and seen["synctalk2d"][3:, 310:].any()
    assert seen["units"].shape[0] == 3


def test_the_loop_goes_to_and_fro_and_the_net_rests_in_silence(packages: dict[str, Path]) -> None:
    face = opened(packages["wav2lip"])
    loop = face._loop
    assert [loop.index(k) for k in range(24)] == [*range(12), *range(10, 0, -1), 0, 1]
    drawn: list[int] = []
    face._artist, real = _Counting(face._artist, drawn), face._artist  # type: ignore[assignment]
    for k in range(5):
        face.show(moment(face, k, SILENT))
    assert drawn == []
    for k in range(5, 8):
        face.show(moment(face, k, LOUD))
    assert face._strength == pytest.approx(1) and drawn == [5, 6, 7]
    for k in range(8, 12):
        face.show(moment(face, k, SILENT))
    assert face._strength == 0 and drawn == [5, 6, 7, 8, 9]
    face._artist = real


class _Counting:
    def __init__(self, artist: Artist, drawn: list[int]) -> None:
        self._artist, self._drawn = artist, drawn

    def __getattr__(self, name: str) -> object:
        return getattr(self._artist, name)

    def draw(self, asked: list[tuple[int, NDArray[np.float32]]]) -> NDArray[np.uint8]:
        self._drawn += [index for index, _ in asked]
        return self._artist.draw(asked)


def test_sessions_share_what_does_not_change_and_a_batch_draws_what_each_would(
    packages: dict[str, Path],
) -> None:
    one, other = opened(packages["wav2lip"]), opened(packages["wav2lip"])
    assert one._artist is other._artist and one._picture is not other._picture
    asked = [(k, np.full((1, 80, 16), k / 2 - 1, np.float32)) for k in range(5)]
    together = one._artist.draw(asked)
    alone = np.concatenate([one._artist.draw([each]) for each in asked])
    assert np.abs(together.astype(int) - alone).max() <= 1


@pytest.mark.slow
def test_a_model_with_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    face = opened(nets.package(tmp_path / "four", "wav2lip", batch=4))
    asked = [(k, np.full((1, 80, 16), k / 3, np.float32)) for k in range(6)]
    drawn = face._artist.draw(asked)
    assert drawn.shape == (6, 96, 96, 3)
    assert np.abs(drawn[:1].astype(int) - face._artist.draw(asked[:1])).max() <= 1


def test_a_stream_of_another_size_shows_the_middle_of_the_loop(packages: dict[str, Path]) -> None:
    face = open_package(packages["wav2lip"], Wanted((480, 480)))
    assert isinstance(face, PatchFace)
    for k in range(4):
        picture = face.show(moment(face, k, LOUD))
    assert picture.shape == (720, 480)
    assert face._loop.boxes[0].width == 256, "twice as large"
    assert face._loop.crops.shape[1:] == (96, 96, 3)


FAULTS = {
    "another contract": (lambda p: swap(p, '"wav2lip"', '"ultralight"'), "the model has the inputs"),
    "no such contract": (lambda p: swap(p, '"wav2lip"', '"wave2lip"'), "contracts: musetalk"),
    "an encoder too many": (
        lambda p: swap(p, "[person]", '[audio]\nencoder = "net.onnx"\n[person]'),
        "has none",
    ),
    "no model": (lambda p: (p / "net.onnx").unlink(), "add the file"),
    "garbage": (
        lambda p: (p / "net.onnx").write_bytes(b"\x80\x04garbage" * 50),
        "no model that can be opened",
    ),
    "cut off": (
        lambda p: (p / "net.onnx").write_bytes((p / "net.onnx").read_bytes()[:-200]),
        "no model that can be opened",
    ),
    "a pickle": (lambda p: torch_named(p), "holds pickled weights, which are never read"),
    "a program": (lambda p: torch_named(p, "net/code/x.py"), "AVACAST_TRUSTED_MODELS"),
    "a latent": (lambda p: swap(p, "[person]", '[person]\nlatents = "x.safetensors"'), "has none"),
    "another hash": (
        lambda p: swap(p, "[person]", "[person]", 'sha256 = "' + "0" * 64 + '"\n'),
        "copy the package",
    ),
    "numbers that are not": (lambda p: broken(p, "nan"), "not finite"),
    "another shape out": (lambda p: broken(p, "shape"), "gives (1, 3, 96, 96)"),
    "memory without end": (lambda p: broken(p, "huge"), "Failed to allocate memory"),
}

PERSONS = {
    "no film": (lambda p: (p / "person.mp4").write_bytes(b"no film at all" * 9), "person.mp4 is no film"),
    "few boxes": (lambda p: (p / "boxes.csv").write_text("1,2,64,64\n2,2,64,64\n"), "2 rows"),
    "boxes outside": (lambda p: (p / "boxes.csv").write_text("300,2,64,64\n"), "not within the picture"),
    "boxes of words": (lambda p: (p / "boxes.csv").write_text("a,b,c,d\n"), "row 1 of boxes.csv"),
    "endless boxes": (lambda p: (p / "boxes.csv").write_text("nan,2,64,64\n"), "out of range"),
}


def swap(folder: Path, old: str, new: str, model: str = "") -> None:
    sheet = folder / "avatar.toml"
    sheet.write_text(sheet.read_text().replace(old, new).replace("[model]\n", f"[model]\n{model}"))


def torch_named(folder: Path, member: str = "net/data.pkl") -> None:
    import zipfile

    (folder / "net.onnx").unlink()
    with zipfile.ZipFile(folder / "net.pt", "w") as archive:
        archive.writestr(member, b"cos\nsystem\n(S'touch harmed'\ntR.")
    swap(folder, "net.onnx", "net.pt", "side = 96\n")


def broken(folder: Path, how: str) -> None:
    f = np.float32
    inputs = {"image": ["n", 6, 96, 96], "audio": ["n", 1, 80, 16]}
    mean = helper.make_node("ReduceMean", ["audio"], ["heard"], axes=[1, 2, 3], keepdims=1)
    part = helper.make_node("Slice", ["image", "from", "to", "axis"], ["seen"])
    values: dict[str, object] = {
        "from": np.array([0], np.int64),
        "to": np.array([3], np.int64),
        "axis": np.array([1], np.int64),
        "nan": f("nan"),
    }
    if how == "nan":
        last = [helper.make_node("Mul", ["seen", "nan"], ["drawn"])]
    elif how == "shape":
        values["to"] = np.array([4], np.int64)
        last = [helper.make_node("Add", ["seen", "heard"], ["drawn"])]
    else:
        values["many"] = np.array([1, 3, 96, 96 * 4_000_000], np.int64)
        last = [helper.make_node("Add", ["seen", "heard"], ["one"])]
        last += [helper.make_node("Expand", ["heard", "many"], ["drawn"])]
    nets.saved(folder / "net.onnx", inputs, {"drawn": [None, None, None, None]}, [mean, part, *last], values)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FAULTS))
def test_what_is_wrong_with_a_package_is_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = nets.package(tmp_path / "bad", "wav2lip")
    damage, words = FAULTS[name]
    damage(folder)
    with pytest.raises(PackageError) as caught:
        open_package(folder, Wanted(SIZE))
    assert words in str(caught.value)
    package = read(folder)
    with pytest.raises(PackageError) as checked:
        kind_of(package).facts(package)
    assert words in str(checked.value)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", list(PERSONS))
def test_what_is_wrong_with_the_pictures_of_a_person_is_told(name: str, tmp_path: Path) -> None:
    nets.person(tmp_path)
    (tmp_path / "avatar.toml").write_text('format = 1\nkind = "patch"\nname = "A"\nlicense = "CC0-1.0"\n')
    damage, words = PERSONS[name]
    damage(tmp_path)
    with pytest.raises(PackageError) as caught:
        loops.read(read(tmp_path), frames="person.mp4", boxes="boxes.csv", size=SIZE, side=96)
    assert words in str(caught.value)


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    folder = nets.package(tmp_path / "bad", "wav2lip")
    (folder / "net.onnx").write_bytes(b"x" * 99)
    (folder / "boxes.csv").write_text("1,1,2,2\n")
    package = read(folder)
    with pytest.raises(PackageError) as caught:
        kind_of(package).facts(package)
    assert {fault.where for fault in caught.value.faults} == {"model.file", "person.boxes"}


@pytest.mark.slow
def test_a_refused_net_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = nets.package(tmp_path / "bad", "wav2lip")
    broken(folder, "nan")
    runs: list[object] = []
    real = trial._ended
    monkeypatch.setattr(trial, "_ended", lambda request, path: (runs.append(request), real(request, path))[1])
    for _ in range(3):
        with pytest.raises(PackageError, match="not finite"):
            open_package(folder, Wanted(SIZE))
    assert len(runs) == 2, "its inputs once, its output once"


def test_nothing_but_its_own_background_is_behind_a_patch(packages: dict[str, Path]) -> None:
    with pytest.raises(PackageError, match="leave out --background"):
        open_package(packages["units"], Wanted(SIZE, background=Behind.NOTHING))


def test_a_paste_blends_softly_and_by_its_strength() -> None:
    from origin.avatar.renderer import Box

    grey, white = (to_i420(np.full((96, 128, 3), v, np.uint8), 128, 96) for v in (60, 250))
    box = Box(32, 24, 64, 48)
    patch = to_i420(np.full((48, 64, 3), 250, np.uint8), 64, 48)
    paste = Paste(feathered(64, 48, top=0.0))
    whole, half, none = (grey.copy() for _ in range(3))
    paste(whole, patch, box)
    paste(half, patch, box, 0.5)
    paste(none, patch, box, 0.0)
    assert np.array_equal(none, grey)
    assert (
        whole[48, 64] == white[0, 0]
        and abs(int(half[48, 64]) - (int(white[0, 0]) + int(grey[0, 0])) // 2) <= 1
    )
    assert np.abs(np.diff(whole[48, :96].astype(int))).max() < 45, "no step"
    changed = np.nonzero((whole != grey)[:96])
    assert (
        changed[0].min() >= 24 and changed[0].max() < 72 and changed[1].min() >= 32 and changed[1].max() < 96
    )
