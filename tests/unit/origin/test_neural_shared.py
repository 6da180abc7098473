"""Sessions of two real packages on one crew: each is drawn as it would be alone; and the device that is chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from origin.avatar.articulation import REST, SHAPES
from origin.avatar.pose import Pose
from origin.batch import Asked, Crew
from origin.batch.crew import PERIOD_NS
from origin.batch.shared import Sizes
from origin.clock import FRAME_SAMPLES
from origin.faces import DeviceFull, Moment, SharedFace
from origin.neural import patch
from origin.neural.artist import Artist
from origin.neural.devices import Devices
from origin.neural.patch import PatchFace
from origin.packages.kinds import Wanted, open_package
from tests.harness import nets

pytestmark = [pytest.mark.timeout(180)]
SIZE = (320, 240)
FRAMES = 10


def opened(folder: Path) -> PatchFace:
    face = open_package(folder, Wanted(SIZE))
    assert isinstance(face, PatchFace) and isinstance(face, SharedFace)
    return face


def moment(face: PatchFace, session: int, frame: int) -> Moment:
    """Each session at another place of the loop, and louder than the one before it."""
    size, level = face.reach.before + face.reach.after, np.float32(0.2 + 0.1 * session)
    noise = np.random.default_rng(session).standard_normal(size).astype(np.float32)
    return Moment(frame + 3 * session, Pose(REST + (SHAPES["aa"] - REST) * level), noise * level / 5)


class Watched:
    """A session that keeps its pictures."""

    def __init__(self, face: PatchFace) -> None:
        self.face, self.pictures, self.lost = face, dict[int, NDArray[np.uint8]](), 0
        self.error: BaseException | None = None
        self.changed = threading.Condition()

    def draw(self, frame: int, content: Any) -> Any:
        found = self.face.ask(content)
        if isinstance(found, Asked):
            return Asked(found.net, found.content, lambda answer: found.finish(answer).copy())
        return found.copy()

    def send(self, frame: int, picture: Any, due_ns: int) -> None:
        self._note(lambda: self.pictures.update({frame: picture}))

    def left_out(self, frames: int) -> None:
        self._note(lambda: setattr(self, "lost", self.lost + frames))

    def broke(self, error: BaseException) -> None:
        self._note(lambda: setattr(self, "error", error))

    def _note(self, what: Callable[[], object]) -> None:
        with self.changed:
            what()
            self.changed.notify_all()

    def settle(self, frames: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.error or len(self.pictures) + self.lost >= frames, 60)
            assert self.error is None


@pytest.mark.slow
def test_each_of_many_sessions_of_two_packages_is_drawn_as_alone(tmp_path: Path) -> None:
    folders = [nets.package(tmp_path / name, name) for name in ("wav2lip", "units")]
    watched = [Watched(opened(folders[k % 2])) for k in range(6)]
    sizes: list[int] = []
    for one in watched[:2]:
        artist = one.face.net
        artist.sizes = Sizes({1: 0.01, 2: 0.011, 4: 0.012})  # whatever this machine's are
        real = artist._drawn
        artist._drawn = lambda asked, size, real=real: (sizes.append(size), real(asked, size))[1]  # type: ignore[method-assign, misc]
    crew = Crew(2, encoders=1, spare_after_s=30)
    seats = [crew.join(one, one.face.net) for one in watched]
    try:
        for frame in range(FRAMES):
            for k, (one, seat) in enumerate(zip(watched, seats, strict=True)):
                seat.push(frame, moment(one.face, k, frame), frame * PERIOD_NS)
            for one in watched:
                one.settle(frame + 1)
        assert max(sizes) > 1, "they were drawn together"
    finally:
        for seat in seats:
            seat.leave()
        crew.close()
    for k, one in enumerate(watched):
        alone = opened(folders[k % 2])
        assert alone.net is one.face.net, "one net for all sessions of a package"
        for frame in range(FRAMES):
            expected = alone.show(moment(alone, k, frame)).astype(int)
            assert np.abs(expected - one.pictures[frame]).max() <= 1, (k, frame)
        others = [other.pictures[FRAMES - 1].astype(int) for other in watched if other is not one]
        assert all(np.abs(expected - other).max() > 4 for other in others), "sessions can be told apart"


def encodings(artist: Artist) -> list[int]:
    """How many rows each run of the package's encoder hears from now on."""
    assert artist._encoder is not None
    heard: list[int] = []
    real, name = artist._encoder._net.run, artist._encoder._model.input
    artist._encoder._net.run = lambda feeds: (heard.append(len(feeds[name])), real(feeds))[1]  # type: ignore[method-assign]
    return heard


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contract", "runs"), [("synctalk2d", [48]), ("ultralight", [1] * 3), ("ultralight-wenet", [1] * 24)]
)
def test_what_sessions_hear_is_encoded_in_one_run_where_the_encoder_takes_that(
    tmp_path: Path, contract: str, runs: list[int]
) -> None:
    face, other = (opened(nets.package(tmp_path / name, contract)) for name in ("one", "other"))
    artist = face.net
    asked = [(k, artist.features.heard(moment(face, k, 5))) for k in range(3)]
    alone = [other.net._drawn([one], 1)[0] for one in asked]
    heard = encodings(artist)
    together = artist._drawn(asked, 4)
    assert heard == runs
    assert np.abs(together.astype(int) - np.stack(alone)).max() <= 1
    assert all(np.abs(together[k].astype(int) - together[k - 1]).max() > 4 for k in range(3)), "each its own"


@pytest.mark.slow
@pytest.mark.parametrize("contract", ["synctalk2d", "ultralight-wenet"])
def test_what_a_frame_hears_again_is_not_encoded_again(tmp_path: Path, contract: str) -> None:
    face, fresh = (opened(nets.package(tmp_path / name, contract)) for name in ("one", "fresh"))
    artist, voice = face.net, np.random.default_rng(3).standard_normal(48_000 * 4).astype(np.float32) * 0.2

    def asked(frame: int) -> tuple[int, NDArray[np.float32]]:
        first = frame * FRAME_SAMPLES
        return 0, artist.features.heard(Moment(frame, Pose(REST), voice[first:][: sum(reach)]))

    reach = (artist.features.reach.before, artist.features.reach.after)
    artist._drawn([asked(9)], 1)
    heard = encodings(artist)
    for frame in range(10, 20):
        drawn = artist._drawn([asked(frame)], 1)
    assert len(heard) <= 10 and max(heard) <= 1
    fresh_heard = encodings(fresh.net)
    assert np.array_equal(drawn, fresh.net._drawn([asked(19)], 1)), "what was kept is what would be made"
    assert sum(fresh_heard) == len(asked(19)[1])


def test_the_device_with_room_that_has_the_package_then_the_least_loaded() -> None:
    devices, names = Devices(), ("cuda:0", "cuda:1")
    assert devices.choose(names, {}) == "cuda:0"
    first = devices.hold("cuda:0", 0.4)
    assert first is not None
    assert devices.choose(names, {}) == "cuda:1", "another package goes where nothing runs"
    assert devices.choose(names, {"cuda:0": 0.4}) == "cuda:0", "the same fills its batches"
    assert devices.hold("cuda:0", 0.4) is not None
    assert devices.choose(names, {"cuda:0": 0.4}) == "cuda:1", "until its device is full"
    assert devices.hold("cuda:0", 0.4) is None
    devices.release(first)
    assert devices.load("cuda:0") == pytest.approx(0.4) and devices.hold("cuda:0", 0.4) is not None
    assert Devices().hold("cuda:0", 3.0) is not None, (
        "a slow device shows fewer pictures, which is better than none"
    )
    assert all(devices.hold("cpu", 0.6) is not None for _ in range(3)), "the crew says what fits on a CPU"


@pytest.mark.slow
def test_a_session_too_many_for_a_gpu_is_refused_and_one_that_ended_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = nets.package(tmp_path / "units", "units")
    monkeypatch.setattr(patch, "DEVICES", Devices())
    monkeypatch.setattr(patch.nets, "devices", lambda _path: ("cuda:0",))
    monkeypatch.setattr(patch.Artist, "device", property(lambda _self: "cuda:0"))
    monkeypatch.setattr(patch.Artist, "share", property(lambda _self: 0.5))
    first = opened(folder)
    with pytest.raises(DeviceFull, match="use another origin, or end a session"):
        opened(folder)
    del first
    opened(folder)
