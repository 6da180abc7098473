"""Two packagers of one broadcast and one store make one recording, whichever of them leads, dies or comes back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import m3u8
import pytest

from common.store.store import StoreError
from hls.rendition import Snapshot
from hls.store.recorder import Recorder
from tests.harness.recording import WatchedFolder, ending, made_up, play, segment_names

FIRST = 60_000_000
Calls = Sequence[bytes | Snapshot]


class Node:
    """A packager's recorder, which may be killed and come back."""

    def __init__(self, folder: Path, store: WatchedFolder) -> None:
        self.now = [1000.0]
        self.spool = folder
        self.recorder = Recorder(folder, store, bound_bytes=64 << 20, clock=lambda: self.now[0])
        self.recorder.start()
        self.recorder.opened("demo", 2)

    def later(self, seconds: float) -> None:
        self.now[0] += seconds
        self.recorder.flush()

    def until_nothing(self) -> None:
        """Waits until no recording is here any more: the store is asked on another thread."""
        self.later(121)
        while self.recorder.entries():
            self.later(1)

    def kill(self) -> None:
        """Its thread may end in order: nothing that it does at its end is more than a kill leaves."""
        self.recorder.close(0)


@pytest.fixture
def store(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(tmp_path / "store")


def read_along(leader: Node, reader: Node, shown: Calls = ()) -> None:
    """`reader` has what is `shown` already and hears of the rest."""
    alongside(None, reader, shown)
    leader.recorder.follow("demo", lambda lines: reader.recorder.heard("demo", lines))


def alongside(leader: Node | None, reader: Node | None, calls: Calls) -> None:
    """Both see what the leader shows: the reader first, as twins do."""
    for one in calls:
        for node, leads in ((reader, False), (leader, True)):
            if node is None:
                continue
            if isinstance(one, bytes):
                node.recorder.indexed("demo", one)
            else:
                node.recorder.shown("demo", one, leads)
    for node in (leader, reader):
        if node is not None:
            node.recorder.flush()


def listed(store: WatchedFolder) -> dict[str, list[tuple[str, bool]]]:
    """Waits for the one recording that is whole: by rendition the names of its segments, and whether they are gaps."""
    store.until(lambda: bool(store.finished))
    [entry] = store.finished
    folder = store.root / "recordings/demo" / entry.view.id
    assert [path.name for path in folder.parent.iterdir()] == [entry.view.id]
    found = {}
    for name in entry.view.renditions:
        parsed = m3u8.loads((folder / name / "index.m3u8").read_text())
        assert parsed.is_endlist
        found[name] = [(row.uri or "", bool(row.gap_tag)) for row in parsed.segments]
        for uri, gap in found[name]:
            assert (folder / name / uri).exists() is not gap
    return found


def everything(count: int) -> list[tuple[str, bool]]:
    return [(f"{FIRST + index}.m4s", False) for index in range(count)]


@pytest.mark.parametrize("cut", [4, 9, 12])
@pytest.mark.parametrize("away", [False, True])
def test_a_twin_that_takes_over_goes_on_with_the_recording(
    tmp_path: Path, store: WatchedFolder, cut: int, away: bool
) -> None:
    """Wherever the first one dies, also while the store is away and nothing is there yet."""
    calls = made_up(FIRST, 10)
    first, second = (Node(tmp_path / name, store) for name in ("a", "b"))
    if away:
        store.broken = StoreError("503")
    read_along(first, second)
    alongside(first, second, calls[:cut])
    # The next segment is told to the twin, and never recorded by who made it.
    alongside(None, second, calls[cut : cut + 1])
    first.kill()
    store.mend()
    play(second.recorder, [*calls[cut + 1 :], *ending(calls)])
    second.later(60)
    assert listed(store) == {"v0": everything(10), "a128": everything(10)}
    assert store.finished[0].view.lost_segments == 0
    second.kill()


def test_the_first_one_comes_back_and_takes_over_again(tmp_path: Path, store: WatchedFolder) -> None:
    calls = made_up(FIRST, 12)
    first, second = (Node(tmp_path / name, store) for name in ("a", "b"))
    read_along(first, second)
    alongside(first, second, calls[:7])
    first.kill()
    alongside(second, None, calls[7:15])
    back = Node(tmp_path / "a", store)
    read_along(second, back, calls[:15])
    alongside(second, back, calls[15:19])
    second.kill()
    play(back.recorder, [*calls[19:], *ending(calls)])
    back.later(60)
    assert listed(store) == {"v0": everything(12), "a128": everything(12)}
    # And the second one, when nobody wants anything of it any more, changes nothing.
    before = {name: (store.root / name).read_bytes() for name in set(store.puts)}
    again = Node(tmp_path / "b", store)
    again.until_nothing()
    assert not list((tmp_path / "b").rglob("*.m4s"))
    again.kill()
    back.kill()
    assert before == {name: (store.root / name).read_bytes() for name in before}


def test_one_that_was_away_to_the_end_leaves_the_longer_recording_alone(
    tmp_path: Path, store: WatchedFolder
) -> None:
    calls = made_up(FIRST, 10)
    first, second = (Node(tmp_path / name, store) for name in ("a", "b"))
    read_along(first, second)
    alongside(first, second, calls[:9])
    first.kill()
    play(second.recorder, [*calls[9:], *ending(calls)])
    whole = listed(store)
    second.kill()
    back = Node(tmp_path / "a", store)
    assert [one.view.state for one in back.recorder.entries()] == ["recording"]
    back.until_nothing()
    assert listed(store) == whole == {"v0": everything(10), "a128": everything(10)}
    back.kill()


def test_one_whose_twin_recorded_nothing_finishes_what_it_has(tmp_path: Path, store: WatchedFolder) -> None:
    calls = made_up(FIRST, 10)
    first = Node(tmp_path / "a", store)
    play(first.recorder, calls[:9])
    first.recorder.hand_over("demo")
    first.recorder.flush()
    first.later(121)
    assert listed(store) == {"v0": everything(4), "a128": everything(4)}
    first.kill()


def test_a_twin_that_reads_along_keeps_only_what_the_store_has_not(
    tmp_path: Path, store: WatchedFolder
) -> None:
    calls = made_up(FIRST, 30)
    first, second = (Node(tmp_path / name, store) for name in ("a", "b"))
    store.broken = StoreError("503")
    read_along(first, second)
    alongside(first, second, calls[:21])
    assert len(list((tmp_path / "b").rglob("*.m4s"))) == 20
    store.mend()
    first.later(60)
    store.until(lambda: sum(name.endswith(".m4s") for name in store.puts) == 20)
    alongside(first, second, [*calls[21:], *ending(calls)])
    assert len(listed(store)["v0"]) == 30
    first.recorder.flush()
    second.recorder.flush()
    assert not [path for path in (tmp_path / "b").rglob("*") if path.is_file()], "over, and finished there"
    for node in (first, second):
        node.kill()


@pytest.mark.parametrize(
    "lines",
    [
        b"\xff\n",
        b"[]\n",
        b'{"op":"open"}\n',
        b'{"op":"open","broadcast":"../x","id":"a","first":1,"started":"2026-01-01T00:00:00Z","target_s":2}\n',
        b'{"op":"row"}\n',
        b'{"x":1}\n',
    ],
)
def test_what_no_twin_says_harms_nothing(tmp_path: Path, store: WatchedFolder, lines: bytes) -> None:
    calls = made_up(FIRST, 5)
    first, second = (Node(tmp_path / name, store) for name in ("a", "b"))
    read_along(first, second)
    alongside(first, second, calls[:5])
    second.recorder.heard("demo", lines)
    alongside(first, second, calls[5:7])
    first.kill()
    play(second.recorder, [*calls[7:], *ending(calls)])
    store.until(lambda: bool(store.finished))
    assert not list(tmp_path.glob("x*"))
    names = segment_names(
        (store.root / "recordings/demo" / store.finished[0].view.id / "v0/index.m3u8").read_text()
    )
    assert names[-1] == f"{FIRST + 4}.m4s", "it records, whatever was said"
    second.kill()
